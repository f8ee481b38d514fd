# %% [markdown]
# # Augmentation beyond images: text, sound, tables
#
# *Augmentation* makes new training samples from those there are, by changes that leave the label true. A picture of a
# cat is still one after a flip. What are the flips of a sentence, of a tone, of a row of measurements? This lesson
# shows the answers, each with its rule, and measures where one of them helps.
#
# Everything here is a transform like those for images, `transform(x, y, rng) -> (x, y)` on a whole batch, so it goes
# into a `DataLoader` as it is.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minidl
from minidl import data, nn, optim, train, viz
from minidl.data import augment
from minidl.data.augment import spectrum, thesaurus, vocoder
from minidl.viz.style import AMOUNT, BLUE, CLASSES, GREEN, GREY, ORANGE, VERMILLION, dress, key

plt.rcParams["figure.dpi"] = 80
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)
minidl.manual_seed(0)

# %% [markdown]
# ## 1. Text: four small edits
#
# *Easy data augmentation* (EDA) changes a sentence of $l$ words in one of four ways, drawn at random:
#
# | edit | what happens | how often |
# |---|---|---|
# | synonym replacement | a word becomes one of similar meaning | $n = \max(1, \mathrm{round}(\alpha l))$ words |
# | random insertion | a synonym of some word is put anywhere | $n$ times |
# | random swap | two words change places | $n$ times |
# | random deletion | a word is left out | each with probability $p$ |
#
# The sentences get worse, and that is accepted: what a classifier needs to know is mostly *which* words are there. A
# *thesaurus* says which words are synonyms; words such as "the" and "not", called *stop words*, are never replaced.
#
# *Source:* `minidl/data/augment/text.py`, `thesaurus.py`. *Reference:* Wei, Zou (2019), "EDA: Easy Data Augmentation
# Techniques for Boosting Performance on Text Classification Tasks", EMNLP, arXiv:1901.11196.

# %%
sentences = [
    "The story is slow, but the actors are very good.",
    "What a boring film! I wanted to go home.",
    "A clever idea, and a beautiful old town to look at.",
]
for edit in (
    augment.SynonymReplacement(0.2), augment.RandomInsertion(0.2), augment.RandomSwap(0.1), augment.RandomDeletion(0.2),
):  # fmt: skip
    print(edit)
    for new in edit(sentences, None, np.random.default_rng(5))[0]:
        print("   ", new)

# %% [markdown]
# The embedded thesaurus has some five hundred words, enough to learn with. For other words, or another language, hand
# over a mapping or a function of your own. A word that nobody knows a synonym for is left alone.

# %%
print(len(thesaurus.SYNONYMS), "words, for instance quick:", ", ".join(thesaurus.SYNONYMS["quick"]))
german = {"haus": ["Gebäude"], "schnell": ["rasch", "zügig"]}
eda = augment.EDA(synonyms=german, stop_words={"das", "ist"})
samples = [("Das Haus ist alt.", 0), ("Das Auto ist schnell.", 1)] * 2
for x, y in data.DataLoader(samples, batch_size=4, transform=eda, rng=1):
    print(*x, sep="\n")
    assert y.tolist() == [0, 1, 0, 1]

# %% [markdown]
# ### Back-translation
#
# Translated into another language and back, a sentence comes home in other words, and usually in good order. That
# takes two translators, which are models of their own, so they are arguments:
#
# $$x' = \mathrm{back}(\mathrm{there}(x)).$$
#
# Here are two that know one word each. Real ones get all chosen sentences of a batch at once, as a list.
#
# *Source:* `minidl/data/augment/back_translation.py`. *Reference:* Sennrich, Haddow, Birch (2016), "Improving Neural
# Machine Translation Models with Monolingual Data", ACL, arXiv:1511.06709.

# %%
def there(sentences):
    return [s.replace("boring", "langweilig") for s in sentences]

def back(sentences):
    return [s.replace("langweilig", "dull") for s in sentences]

print(*augment.BackTranslation(there, back)(sentences, None, np.random.default_rng(0))[0], sep="\n")

# %% [markdown]
# ## 2. Sound: what a tone looks like
#
# A sound is a wave: here 8,000 numbers a second. What we hear in it is which frequencies it has *when*. The
# *short-time Fourier transform* cuts the wave into short overlapping *frames* under a window $w$ and asks each for its
# frequencies:
#
# $$X(f, t) = \sum_m w(m)\; x(t h + m)\; e^{-2\pi i f m / M}$$
#
# ($M$ samples a frame, a frame every $h$ samples.) A *spectrogram* is a picture of $\log|X|^2$. The instruments below
# are made on the spot. A tone of one is a sum of *partials*: sines at multiples of its pitch. A clarinet has the odd
# multiples only, a bell has some that are no multiples at all, and in a guitar and a bell the high ones die first.
#
# The transform loses nothing: its inverse adds the frames up again and divides by the sum of the squared windows. Of a
# spectrum that *no* wave has, such as one that was edited, it gives the wave that comes closest.
#
# *Source:* `minidl/data/augment/spectrum.py`, `minidl/data/synthetic_tones.py`. *References:* Allen, Rabiner (1977),
# "A Unified Approach to Short-Time Fourier Analysis and Synthesis", Proc. IEEE 65; Griffin, Lim (1984), "Signal
# Estimation from Modified Short-Time Fourier Transform", IEEE TASSP 32.

# %%
RATE = 8000

def picture(ax, wave, title, n_fft=512):
    """The spectrogram of one wave (L,), in decibels below the loudest point."""
    power = spectrum.spectrogram(wave, n_fft, n_fft // 8, log=False)
    level = 10 * np.log10(power / power.max() + 1e-9)
    extent = (0, len(wave) / RATE, 0, RATE / 2000)
    image = ax.imshow(level, cmap=AMOUNT, vmin=-60, vmax=0, origin="lower", aspect="auto", extent=extent)
    dress(ax, title, "seconds", "kHz", None)
    return image

fig, axes = plt.subplots(1, 6, figsize=(13, 3.2), layout="constrained", sharey=True)
for ax, name in zip(axes, data.TONES, strict=True):
    x, _ = data.tones(1, length=6000, classes=name, pitch=(330, 330), rng=0)
    image = picture(ax, x[0], name)
    ax.set_ylabel("kHz" if name == data.TONES[0] else "")
    back_again = spectrum.istft(spectrum.stft(x, 512), length=6000)
    assert np.allclose(x, back_again, atol=1e-5)
fig.colorbar(image, ax=axes, label="decibels", shrink=0.9)
plt.show()

# %% [markdown]
# ## 3. Longer but not lower: the phase vocoder
#
# Play a record at half the speed and it takes twice as long, but it also sounds an octave lower. To change one without
# the other, take frames from the wave at one pace and lay them down at another. Each frame then has the right
# frequencies, but where neighbours overlap, their sines no longer meet: they must be turned. The *phase vocoder* turns
# each frequency by as much as it turns in the recording within one step $h$:
#
# $$Y_u = X(t_u)\; \frac{z}{|z|}, \qquad z = Y_{u-1}\, \overline{X(t_u - h)}, \qquad t_u = u\, h\, \mathrm{rate}.$$
#
# Read it from the right: $Y_{u-1}/X(t_u - h)$ is how far the frame before had been turned already. To shift the
# *pitch* by $s$ semitones, twelfths of an octave, stretch by $2^{s/12}$ and then do play the record faster.
#
# *Source:* `minidl/data/augment/vocoder.py`. *References:* Flanagan, Golden (1966), "Phase Vocoder", Bell System
# Technical Journal 45; Dolson (1986), "The Phase Vocoder: A Tutorial", Computer Music Journal 10.

# %%
def pitch(wave):
    """The strongest frequency of a wave (L,), in Hz."""
    size = 2**17
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size)).argmax() * RATE / size

(tone,), _ = data.tones(1, length=6000, classes="organ", pitch=(330, 330), rng=3)
waves = {
    "organ, 330 Hz": tone,
    "record at half speed": spectrum.resample(tone[None], 0.5)[0],
    "stretched, rate 0.5": vocoder.time_stretch(tone[None], 0.5)[0],
    "7 semitones up": vocoder.pitch_shift(tone[None], 7)[0],
}
fig, axes = plt.subplots(1, 4, figsize=(13, 3.3), layout="constrained", width_ratios=[1, 2, 2, 1], sharey=True)
for ax, (name, wave) in zip(axes, waves.items(), strict=True):
    picture(ax, wave, name)
    ax.set_ylabel("kHz" if ax is axes[0] else "")
    print(f"{name:22} {len(wave):6} samples, pitch {pitch(wave):.1f} Hz")
plt.show()

assert len(waves["stretched, rate 0.5"]) == 12000 and abs(pitch(waves["stretched, rate 0.5"]) - 330) < 1
assert len(waves["7 semitones up"]) == 6000 and abs(pitch(waves["7 semitones up"]) - 330 * 2 ** (7 / 12)) < 1

# %% [markdown]
# ## 4. Noise, splices, masks
#
# *Noise* is added at a *signal-to-noise ratio*, $10\log_{10}(\sum x^2 / \sum e^2)$ decibels: 20 is noise of a tenth of
# the wave's size, 0 of its own. *Splices* cut a piece out, or exchange two. *SpecAugment* works on the spectrogram: it
# bends time, so that one column moves and both ends stay, and hides bands of frequencies and stretches of time. A
# network that may not rely on any one band has to listen to all of them.
#
# $$\text{mask: } f_0 \le f < f_0 + \Delta, \qquad \Delta \sim \mathcal U\{0, \dots, F\}, \quad f_0 \sim
# \mathcal U\{0, \dots, N_f - \Delta\}$$
#
# *Source:* `minidl/data/augment/audio.py`, `specaugment.py`. *Reference:* Park, Chan, Zhang, Chiu, Zoph, Cubuk, Le
# (2019), "SpecAugment", Interspeech, arXiv:1904.08779.

# %%
wave, _ = data.tones(1, length=6000, classes="violin", pitch=(330, 330), rng=4)
rng = np.random.default_rng(3)
noisy = augment.AddNoise(10, p=1)(wave.copy(), None, rng)[0]
ratio = 10 * np.log10((wave**2).sum() / ((noisy - wave) ** 2).sum())
assert abs(ratio - 10) < 0.01

fig, axes = plt.subplots(2, 4, figsize=(13, 5.6), layout="constrained", sharex=True, sharey=True)
picture(axes[0, 0], wave[0], "violin")
picture(axes[0, 1], noisy[0], f"noise at {ratio:.1f} dB")
picture(axes[0, 2], augment.CutSplice(2000, p=1)(wave.copy(), None, rng)[0][0], "a piece cut out")
picture(axes[0, 3], augment.SwapSplice(2000, p=1)(wave.copy(), None, rng)[0][0], "two pieces exchanged")

spectra = 10 * np.log10(spectrum.spectrogram(wave, 512, 64, log=False) + 1e-9)  # (1, 257, 94)
spectra -= spectra.max()
policy = augment.SpecAugment(W=20, F=60, m_F=2, T=20, m_T=2, value=-60.0)
for ax, step in zip(axes[1], [*policy.steps(), policy], strict=True):
    shown = step(spectra.copy(), None, np.random.default_rng(8))[0][0]
    ax.imshow(shown, cmap=AMOUNT, vmin=-60, vmax=0, origin="lower", aspect="auto", extent=(0, 0.75, 0, 4))
    dress(ax, type(step).__name__, "seconds", "kHz", None)
for ax in axes[:, 1:].flat:
    ax.set_ylabel("")
for ax in axes[0]:
    ax.set_xlabel("")
plt.show()
print(policy)

# %% [markdown]
# In a loader the steps stand one after the other, from waves to spectrograms. Every batch of every epoch is drawn anew.

# %%
pipeline = data.Compose([
    augment.TimeStretch(0.2), augment.PitchShift(1.0), augment.AddNoise((5, 30)), augment.Spectrogram(256),
    augment.SpecAugment(W=10, F=15, T=10),
])  # fmt: skip
tones = data.Dataset(*data.tones(64, rng=0), classes=data.TONES, name="tones")
x, y = next(iter(data.DataLoader(tones, batch_size=64, shuffle=True, transform=pipeline, rng=0)))
print(tones, "\n->", x.shape, y.shape)

# %% [markdown]
# ## 5. Tables: a rare class
#
# A row of a table has no flips. Two things can still be said about it: a little noise does not change the label
# (`augment.FeatureNoise`, noise of a share of each feature's own spread), and what lies *between* two neighbours of
# one class probably belongs to it too. SMOTE, the synthetic minority over-sampling technique, makes new samples of a
# rare class on the segments from a sample to its $k$ nearest neighbours of that class:
#
# $$x' = x_i + u\,(x_j - x_i), \qquad u \sim \mathcal U(0, 1), \quad x_j \text{ one of the } k \text{ neighbours of }
# x_i.$$
#
# Below, one class has 15 samples and the other 300. Left: the segments. Right: what came of them. Every new point lies
# on one, and none outside the class's own hull.
#
# *Source:* `minidl/data/augment/tabular.py`. *Reference:* Chawla, Bowyer, Hall, Kegelmeyer (2002), "SMOTE: Synthetic
# Minority Over-sampling Technique", Journal of Artificial Intelligence Research 16.

# %%
def rare_moon(seed, rare=15, many=300, noise=0.25):
    """Two moons, of the second of which only a few points are known."""
    x, y = data.moons(2 * many, noise, rng=seed)
    keep = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:rare]])
    return x[keep], y[keep]

x, y = rare_moon(0)
more, labels = augment.smote(x, y, k=5, rng=0)
assert np.bincount(y).tolist() == [300, 15] and np.bincount(labels).tolist() == [300, 300]

few, new = x[y == 1], more[len(x) :]
links = augment.tabular.nearest_neighbours(few, 5)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained", sharex=True, sharey=True)
for i, row in enumerate(links):
    for j in row:
        axes[0].plot(*few[[i, j]].T, color=ORANGE, linewidth=0.8, zorder=1)
axes[1].plot(*new.T, ".", color=ORANGE, markersize=4, label=f"{len(new)} new", zorder=1)
for ax, title in zip(axes, ("Each rare sample and its 5 neighbours", "New samples on these segments"), strict=True):
    ax.plot(*x[y == 0].T, ".", color=BLUE, markersize=4, label="300 common")
    ax.plot(*few.T, "o", color=VERMILLION, markersize=6, label="15 rare")
    dress(ax, title, "$x_1$", "$x_2$", None)
    key(ax)
plt.show()

# %% [markdown]
# ## 6. Does it help?
#
# A classifier that always says "common" is right in 95 of 100 cases here, and useless. So what is measured is the
# *balanced accuracy*: the share of right answers in each class, averaged over the classes,
#
# $$\frac1K \sum_{k=1}^K \frac{\#\{\text{class } k \text{ and recognised}\}}{\#\{\text{class } k\}},$$
#
# which is 1/2 for that classifier. SMOTE is compared with doing nothing and with its two simplest rivals: *copies* of
# the rare samples, drawn at random, and *weights* in the loss that let each rare sample count twenty times. Eight
# data sets, one network each, 200 steps, tested on a thousand new points.
#
# *Source:* `minidl/train/fit.py`. *Reference:* Brodersen, Ong, Stephan, Buhmann (2010), "The balanced accuracy and its
# posterior distribution", ICPR.

# %% tags=["varies"]
def copies(x, y, rng):
    """As many samples of the rare class as of the other: the old ones again."""
    again = np.random.default_rng(rng).choice(np.flatnonzero(y == 1), 285)
    return np.concatenate([x, x[again]]), np.concatenate([y, y[again]])

def network(x, y, seed, weight=None):
    minidl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    loss, optimizer = nn.CrossEntropyLoss(weight=weight), optim.Adam(model.parameters(), lr=0.01)
    epochs = 200 // -(-len(x) // 64)  # 200 steps for all, however large the set
    train.fit(model, (x, y), loss=loss, optimizer=optimizer, epochs=epochs, batch_size=64, progress=False)
    return model

def balanced_accuracy(model, x, y):
    right = train.predict(model, x).argmax(1) == y
    return float(np.mean([right[y == k].mean() for k in (0, 1)]))

ways = {
    "as it is": lambda x, y, seed: network(x, y, seed),
    "weights": lambda x, y, seed: network(x, y, seed, weight=np.float32([1, 20])),
    "copies": lambda x, y, seed: network(*copies(x, y, seed), seed),
    "SMOTE": lambda x, y, seed: network(*augment.smote(x, y, rng=seed), seed),
}
test_x, test_y = data.moons(1000, 0.25, rng=1000)
models = {name: [way(*rare_moon(seed), seed) for seed in range(8)] for name, way in ways.items()}
scores = {name: np.array([balanced_accuracy(m, test_x, test_y) for m in group]) for name, group in models.items()}
for name, values in scores.items():
    print(f"{name:9} {values.mean():.3f} +- {values.std(ddof=1) / len(values) ** 0.5:.3f}")
assert scores["SMOTE"].mean() > scores["as it is"].mean() + 0.02
assert abs(scores["SMOTE"].mean() - scores["weights"].mean()) < 0.05

# %% [markdown]
# Left alone, the network gives up most of the rare moon, and on one of the data sets all of it: there it says "common"
# to everything. With SMOTE it draws the line further out, and pays with some common points that it now calls rare. Look
# at the rivals too: weights and copies do as well, and the differences between the three are smaller than their
# standard errors. What helps here is that the rare class counts as much as the other, and SMOTE is one way among others
# to say so. (The boundaries are those of the data set where SMOTE's gain is the middle one.)

# %%
gain = scores["SMOTE"] - scores["as it is"]
middle = int(np.argsort(gain)[len(gain) // 2])
x, y = rare_moon(middle)
fig, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained", width_ratios=[1.15, 1.15, 1])
for ax, name, title in zip(axes, ("as it is", "SMOTE"), ("Trained as it is", "Trained with SMOTE"), strict=False):
    viz.decision_boundary(models[name][middle], x, y, ax, classes=["common", "rare"], title=title)
for k, (values, colour) in enumerate(zip(scores.values(), (GREY, BLUE, GREEN, VERMILLION), strict=True)):
    axes[2].plot(k + np.linspace(-0.2, 0.2, len(values)), values, "o", color=colour, markersize=4)
    axes[2].plot([k - 0.3, k + 0.3], [values.mean()] * 2, color=colour, linewidth=2)
axes[2].set_xticks(range(4), list(scores))
dress(axes[2], "Balanced accuracy, 8 data sets", "", "")
plt.show()

# %% [markdown]
# ## 7. Break it
#
# SMOTE belongs *after* the split, on the training set alone. To see why, here is a set with nothing in it: the labels
# do not depend on the features, so no classifier can be better than a half. The right order says so. Exchange the two
# steps, which are the two lines from "the wrong way round" on, and the same classifier looks good: now most of the rare
# points it is tested on were made from points it was trained on.
#
# *Exercise:* in the wrong order, set `k=1`, then `k=10`. Is the score honest for any $k$? And what do you get with
# `copies` in place of `augment.smote`?

# %%
def score(train_x, train_y, test_x, test_y):
    """The balanced accuracy of the nearest neighbour's label."""
    distance = ((test_x[:, None] - train_x) ** 2).sum(2)
    right = train_y[distance.argmin(1)] == test_y
    return np.mean([right[test_y == k].mean() for k in (0, 1)])

honest, fooled = [], []
for seed in range(10):
    noise = np.random.default_rng(seed).standard_normal((440, 10))
    everything = data.Dataset(noise, np.repeat([1, 0], [40, 400]))

    a, b = data.split(everything, (0.7, 0.3), stratify=True, rng=seed)
    honest.append(score(*augment.smote(a.x, a.y, rng=seed), b.x, b.y))

    larger = data.Dataset(*augment.smote(everything.x, everything.y, rng=seed))  # the wrong way round
    a, b = data.split(larger, (0.7, 0.3), stratify=True, rng=seed)
    fooled.append(score(a.x, a.y, b.x, b.y))

print(f"split, then SMOTE: {np.mean(honest):.2f}    SMOTE, then split: {np.mean(fooled):.2f}    the truth: 0.50")
assert abs(np.mean(honest) - 0.5) < 0.06 and np.mean(fooled) > 0.8
