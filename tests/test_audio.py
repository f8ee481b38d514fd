"""Audio: the transform against PyTorch and SciPy, the vocoder against its textbook, tones that keep or change pitch,
masks and splices against loops, chances against their standard error."""

import itertools

import numpy as np
import pytest

from minidl import data
from minidl.data import augment
from minidl.data.augment import audio, specaugment, spectrum, vocoder

SIZES = [(64, None), (64, 32), (64, 16), (100, 33), (32, 7)]


def sine(frequency, length=8000, dtype=np.float32, rate=8000):
    return np.sin(2 * np.pi * frequency / rate * np.arange(length) + 0.3).astype(dtype)[None]


def peak(wave, rate=8000, size=2**16):
    """The strongest frequency in Hz, to within rate / size."""
    wave = wave.reshape(-1)
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size)).argmax() * rate / size


def within(share, p, n, errors=4.5):
    assert abs(share - p) <= errors * (p * (1 - p) / n) ** 0.5


# The short-time Fourier transform


@pytest.mark.parametrize("n_fft, hop", SIZES)
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stft_and_its_inverse_are_pytorchs(n_fft, hop, pad_mode, dtype, rng, torch):
    x = rng.standard_normal((3, 500)).astype(dtype)
    window, tolerance = torch.hann_window(n_fft, dtype=getattr(torch, dtype.__name__)), 1e3 * np.finfo(dtype).eps
    options = {"hop_length": hop, "window": window, "center": True}
    theirs = torch.stft(torch.tensor(x), n_fft, pad_mode=pad_mode, return_complex=True, **options).numpy()
    ours = spectrum.stft(x, n_fft, hop, pad_mode)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=tolerance)
    noise = rng.standard_normal(ours.shape) + 1j * rng.standard_normal(ours.shape)  # no wave has this spectrum
    changed = ours + noise.astype(ours.dtype)
    theirs = torch.istft(torch.tensor(changed), n_fft, length=500, **options).numpy()
    back = spectrum.istft(changed, hop, 500)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, theirs, atol=tolerance)


@pytest.mark.parametrize("n_fft, hop", SIZES)
@pytest.mark.parametrize("length", [500, 501, 20, 1])
def test_the_inverse_gives_the_wave_back(n_fft, hop, length, rng):
    x = rng.standard_normal((2, 2, length))
    np.testing.assert_allclose(spectrum.istft(spectrum.stft(x, n_fft, hop), hop, length), x, atol=1e-12)
    single = x[0, 0].astype(np.float32)
    back = spectrum.istft(spectrum.stft(single, n_fft, hop), hop, length)
    assert back.shape == (length,) and back.dtype == np.float32
    np.testing.assert_allclose(back, single, atol=1e-5)


def test_stft_is_scipys(rng):
    signal = pytest.importorskip("scipy.signal")
    x = rng.standard_normal((2, 640))
    _, _, theirs = signal.stft(x, window="hann", nperseg=64, noverlap=48, boundary="zeros", padded=False)
    ours = spectrum.stft(x, 64, 16) / spectrum.hann(64).sum()
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_inverse_is_the_nearest_wave(rng):
    """Griffin and Lim: istft solves the least-squares problem over all frames."""
    n, n_fft, hop = 48, 16, 4
    frames = rng.standard_normal((n // hop + 1, n_fft))
    target = np.fft.rfft(frames).T
    window = spectrum.hann(n_fft)
    rows = np.zeros((len(frames), n_fft, n + n_fft))
    for t, m in itertools.product(range(len(frames)), range(n_fft)):
        rows[t, m, t * hop + m] = window[m]
    best = np.linalg.lstsq(rows.reshape(-1, n + n_fft), frames.reshape(-1), rcond=None)[0]
    np.testing.assert_allclose(spectrum.istft(target, hop, n), best[n_fft // 2 :][:n], atol=1e-12)


def test_a_sine_has_its_power_at_its_frequency():
    power = spectrum.spectrogram(0.5 * sine(1000, 4000), 256, log=False)  # 1000 Hz is bin 32 of 256 at 8000 Hz
    assert power.shape == (1, 129, 63) and power.dtype == np.float32
    inner = power[0, :, 4:-4]
    assert (inner.argmax(0) == 32).all()
    np.testing.assert_allclose(inner[32], 0.25 / 4, rtol=1e-4)
    x, y = augment.Spectrogram(256)(0.5 * sine(1000, 4000), "y", None)
    np.testing.assert_allclose(x, np.log(power + 1e-6), rtol=1e-5)
    assert y == "y"


# Resampling and the phase vocoder


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_resampling_reads_a_sine_where_it_is_asked_to(speed):
    w = 2 * np.pi * 700 / 8000
    y = spectrum.resample(np.cos(w * np.arange(2000))[None], speed)
    assert y.shape == (1, round(2000 / speed)) and y.dtype == np.float64
    n = np.arange(y.shape[1])
    inner = slice(60, -60)
    np.testing.assert_allclose(y[0, inner], np.cos(w * speed * n)[inner], atol=1e-3)


def test_resampling_filters_out_what_would_be_folded_back():
    assert np.abs(spectrum.resample(sine(3000), 2.0)[0, 50:-50]).max() < 1e-3  # would become 6000 Hz, heard as 2000
    assert abs(spectrum.resample(sine(1500), 2.0)[0, 50:-50].std() - 0.5**0.5) < 5e-3


def test_each_wave_has_its_own_speed_and_silence_after_its_end(rng):
    x, speed = rng.standard_normal((3, 300)), np.array([0.8, 1.0, 1.5])
    for function in (spectrum.resample, vocoder.time_stretch):
        together = function(x, speed)
        assert together.shape == (3, 375)
        for i, s in enumerate(speed):
            alone = function(x[i : i + 1], s)[0]
            np.testing.assert_allclose(together[i, : len(alone)], alone, atol=1e-9)
            assert len(alone) == round(300 / s) and not together[i, len(alone) :].any()


def textbook(x, rate, n_fft, length):
    """One wave, frame by frame and bin by bin: instantaneous frequencies, with phases locked to the nearest peak."""
    hop, window = n_fft // 4, spectrum.hann(n_fft)
    omega = 2 * np.pi * np.arange(n_fft // 2 + 1) / n_fft

    def frame(centre):
        at = centre - n_fft // 2 + np.arange(n_fft)
        return np.fft.rfft(window * np.where((at >= 0) & (at < len(x)), x[np.clip(at, 0, len(x) - 1)], 0))

    total, weight, phase = np.zeros(length + 3 * n_fft), np.zeros(length + 3 * n_fft), np.angle(frame(0))
    for u in range(length // hop + 3):
        t = round(u * hop * rate)
        now, before = frame(t), frame(t - hop)
        height, size = np.abs(now), len(now)
        if u:
            peaks = [k for k in range(size) if height[k] >= height[max(k - 2, 0) : k + 3].max()]
            off = np.angle(now) - np.angle(before) - omega * hop
            frequency = omega + (off - 2 * np.pi * np.round(off / (2 * np.pi))) / hop  # radians per sample
            advanced = phase + hop * frequency
            nearest = [min(peaks, key=lambda p: (abs(p - k), p)) for k in range(size)]
            phase = np.array([np.angle(now[k]) + advanced[p] - np.angle(now[p]) for k, p in enumerate(nearest)])
        part = slice(u * hop, u * hop + n_fft)
        total[part] += window * np.fft.irfft(height * np.exp(1j * phase))
        weight[part] += window**2
    return (total / np.where(weight > 0, weight, 1))[n_fft // 2 :][:length]


@pytest.mark.parametrize("rate", [0.6, 1.0, 1.37])
def test_the_vocoder_is_the_textbooks(rate, rng):
    x = sine(440, 1200, np.float64)[0] + 0.5 * sine(1234, 1200, np.float64)[0] + 0.01 * rng.standard_normal(1200)
    length = round(1200 / rate)
    y = vocoder.time_stretch(x[None], rate, n_fft=128)[0]
    np.testing.assert_allclose(y, textbook(x, rate, 128, length), atol=1e-9)


@pytest.mark.parametrize("frequency", [220.0, 447.3, 1333.0])
@pytest.mark.parametrize("rate", [0.5, 0.83, 1.3, 2.0])
def test_a_stretched_tone_keeps_pitch_and_loudness_and_has_the_new_length(frequency, rate):
    y = vocoder.time_stretch(sine(frequency), rate)
    assert y.shape == (1, round(8000 / rate)) and y.dtype == np.float32
    inner = y[0, 600:-600]
    assert abs(peak(inner) - frequency) < 1
    assert abs(np.sqrt(2 * (inner**2).mean()) - 1) < 5e-3


@pytest.mark.parametrize("semitones", [-12, -5, 0.5, 3, 7, 12])
def test_a_shifted_tone_has_the_new_pitch_and_the_same_length(semitones):
    y = vocoder.pitch_shift(sine(447.3), semitones)
    assert y.shape == (1, 8000) and y.dtype == np.float32
    inner = y[0, 1000:-1000]
    assert abs(peak(inner) - 447.3 * 2 ** (semitones / 12)) < 1
    assert abs(np.sqrt(2 * (inner**2).mean()) - 1) < 5e-3


def test_a_chord_keeps_its_tones():
    x = sine(330) + sine(440) + sine(550)
    for y, factor in ((vocoder.time_stretch(x, 0.7), 1), (vocoder.pitch_shift(x, 4), 2 ** (4 / 12))):
        power = np.abs(np.fft.rfft(y[0, 1000:7000] * np.hanning(6000), 2**16))
        top = [k for k in range(1, 2**15) if power[k] > power.max() / 3 and power[k] >= power[k - 1 : k + 2].max()]
        np.testing.assert_allclose(np.array(top) * 8000 / 2**16, factor * np.array([330, 440, 550]), atol=2)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_rate_one_and_no_semitones_are_the_identity(dtype, tolerance, rng):
    x = rng.standard_normal((3, 4000)).astype(dtype)
    x[1, 1000:2500] = 0  # frames of silence have no phases
    for y in (vocoder.time_stretch(x, 1), vocoder.pitch_shift(x, 0), spectrum.resample(x, 1)):
        assert y.dtype == dtype
        np.testing.assert_allclose(y, x, atol=tolerance)


@pytest.mark.parametrize("length", [1, 2, 30, 511])
def test_waves_shorter_than_a_window(length, rng):
    x = rng.standard_normal((2, length))
    for rate in (0.4, 1.0, 1.7):
        y = vocoder.time_stretch(x, rate)
        assert y.shape == (2, round(length / rate)) and np.isfinite(y).all()
    np.testing.assert_allclose(vocoder.time_stretch(x, 1.0), x, atol=1e-12)
    assert vocoder.pitch_shift(x, 5).shape == x.shape


def test_nearest_peaks_by_hand():
    height = np.array([[0.0, 1, 5, 1, 0, 0, 2, 2, 1], [3, 2, 1, 0, 0, 0, 0, 0, 9]])
    nearest = [[2, 2, 2, 2, 2, 6, 6, 7, 7], [0, 0, 0, 5, 5, 5, 5, 8, 8]]
    np.testing.assert_array_equal(vocoder.nearest_peak(height), nearest)


def test_random_stretch_and_shift_draw_for_each_wave():
    x = np.repeat(sine(440, 4000), 200, 0)
    shifted, _ = augment.PitchShift(3, p=0.5)(x.copy(), None, np.random.default_rng(0))
    changed = ~(shifted == x).all(1)
    within(changed.mean(), 0.5, 200)
    semitones = np.array([12 * np.log2(peak(w, size=2**15) / 440) for w in shifted[changed][:40, 500:-500]])
    assert -3.05 < semitones.min() < -1.5 < 1.5 < semitones.max() < 3.05 and len(np.unique(semitones)) > 30
    stretched, _ = augment.TimeStretch((1.5, 2.0), p=1.0)(x[:20].copy(), None, np.random.default_rng(0))
    ends = np.array([np.flatnonzero(w)[-1] + 1 for w in stretched])
    assert stretched.shape == (20, 4000) and (ends >= 1999).all() and (ends <= 2667).all() and len(np.unique(ends)) > 15


# Noise, clips and splices


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_has_exactly_the_ratio_that_was_asked_for(dtype, rng):
    x, noise = (rng.standard_normal((5, 999)).astype(dtype) * s for s in (dtype(0.1), dtype(7)))
    ratio = np.array([-5.0, 0, 3, 10, 40])
    y = audio.add_noise(x, noise, ratio)
    added = y.astype(np.float64) - x
    measured = 10 * np.log10((x.astype(np.float64) ** 2).sum(1) / (added**2).sum(1))
    assert y.dtype == dtype
    np.testing.assert_allclose(measured, ratio, atol=1e-3 if dtype == np.float32 else 1e-9)
    factor = added / noise
    np.testing.assert_allclose(factor, np.broadcast_to(np.median(factor, 1)[:, None], x.shape), rtol=1e-2)
    np.testing.assert_array_equal(audio.add_noise(x, noise, np.inf), x)
    assert not audio.add_noise(np.zeros_like(x), noise, 0.0).any()


def test_random_noise_is_white_gaussian_and_its_ratio_uniform(rng):
    x = rng.standard_normal((2000, 400))
    y, _ = augment.AddNoise((5, 15), p=0.7)(x.copy(), None, rng)
    changed = (y != x).any(1)
    within(changed.mean(), 0.7, 2000)
    added = (y - x)[changed]
    ratio = 10 * np.log10((x[changed] ** 2).sum(1) / (added**2).sum(1))
    assert (ratio >= 5).all() and (ratio <= 15).all()
    assert abs(ratio.mean() - 10) < 4 * 10 / 12**0.5 / len(ratio) ** 0.5 and abs(ratio.std() - 10 / 12**0.5) < 0.2
    added /= added.std(1, keepdims=True)
    assert abs((added[:, 1:] * added[:, :-1]).mean()) < 4 / added.size**0.5 and abs((added**4).mean() - 3) < 0.05
    fixed, _ = augment.AddNoise(20, p=1)(x.copy(), None, rng)
    np.testing.assert_allclose((x**2).sum(1) / ((fixed - x) ** 2).sum(1), 100)


@pytest.mark.parametrize("fade", [0, 3])
def test_splices_against_loops(fade, rng):
    x = rng.standard_normal((4, 40))
    start, length, second = np.array([0, 5, 20, 28]), np.array([12, 7, 1, 12]), np.array([13, 30, 2, 10])

    def step(distance):  # 1 from the splice on, before it a straight line over `fade` samples
        return min(max((distance + fade + 1) / (fade + 1), 0), 1)

    cut, swapped = np.empty_like(x), np.empty_like(x)
    for i, (s, m, o) in enumerate(zip(start, length, second, strict=True)):
        for n in range(40):
            w = step(n - s)
            cut[i, n] = (1 - w) * x[i, n] + w * (x[i, n + m] if n + m < 40 else 0)
            swapped[i, n] = x[i, n]
            for here, there in ((s, o), (o, s)):
                if here <= n < here + m:
                    w = step(min(n - here, here + m - 1 - n) - fade)
                    swapped[i, n] = (1 - w) * x[i, n] + w * x[i, n - here + there]
    np.testing.assert_allclose(audio.cut_splice(x, start, length, fade), cut, atol=1e-12)
    np.testing.assert_allclose(audio.swap_splice(x, start, second, length, fade), swapped, atol=1e-12)
    np.testing.assert_array_equal(audio.clip(x, start, 12), [w[s : s + 12] for w, s in zip(x, start, strict=True)])


def test_random_pieces_are_uniform():
    n = 20_000
    x = np.tile(np.arange(1, 6, dtype=np.float32), (n, 1))
    clips, _ = augment.RandomClip(3)(x.copy(), None, np.random.default_rng(0))
    for first in (1, 2, 3):
        within((clips == np.arange(first, first + 3)).all(1).mean(), 1 / 3, n)
    cut, _ = augment.CutSplice(2, fade=0, p=1.0)(x.copy(), None, np.random.default_rng(0))
    kept = {(1, 5): [(2, 3, 4, 5, 0), (1, 3, 4, 5, 0), (1, 2, 4, 5, 0), (1, 2, 3, 5, 0), (1, 2, 3, 4, 0)],
            (2, 4): [(3, 4, 5, 0, 0), (1, 4, 5, 0, 0), (1, 2, 5, 0, 0), (1, 2, 3, 0, 0)]}  # fmt: skip
    for (_, places), results in kept.items():
        for wave in results:
            within((cut == wave).all(1).mean(), 1 / 2 / places, n)
    swapped, _ = augment.SwapSplice(2, fade=0, p=1.0)(x.copy(), None, np.random.default_rng(0))
    assert (np.sort(swapped, 1) == x).all()
    pairs = [(a, b) for a in range(5) for b in range(a + 1, 5)]  # of length 1
    for a, b in pairs:
        wave = np.arange(1, 6)
        wave[[a, b]] = wave[[b, a]]
        within((swapped == wave).all(1).mean(), 1 / 2 / len(pairs), n)
    for wave in ((3, 4, 1, 2, 5), (4, 5, 3, 1, 2), (1, 4, 5, 2, 3)):  # of length 2
        within((swapped == wave).all(1).mean(), 1 / 6, n)


# SpecAugment


def test_a_warp_keeps_the_ends_and_moves_the_chosen_column(rng):
    x = rng.standard_normal((4, 3, 21))
    centre, shift = np.array([5, 10, 12, 10]), np.array([3, -4, 7, 0])
    y = specaugment.time_warp(x, centre, shift)
    np.testing.assert_array_equal(y[:, :, [0, -1]], x[:, :, [0, -1]])
    for i in range(4):
        np.testing.assert_allclose(y[i, :, centre[i] + shift[i]], x[i, :, centre[i]], atol=1e-12)
    np.testing.assert_allclose(y[3], x[3], atol=1e-12)
    ramp = np.broadcast_to(np.arange(21.0), (2, 2, 21))
    bent = specaugment.time_warp(ramp, np.array([5.0, 14.5]), np.array([2.5, -8.0]))
    for i, (c, m) in enumerate(((5, 7.5), (14.5, 6.5))):
        np.testing.assert_allclose(bent[i, 0], np.interp(np.arange(21), [0, m, 20], [0, c, 20]), atol=1e-12)


def test_random_warps_are_uniform_in_column_and_distance():
    n, times, w = 20_000, 31, 10
    x = np.broadcast_to(np.arange(float(times)), (n, 1, times)).copy()
    y, _ = augment.TimeWarp(w)(x, None, np.random.default_rng(0))
    left, right = y[:, 0, 1], times - 1 - y[:, 0, -2]  # slopes c / m and (T - 1 - c) / (T - 1 - m)
    moved = (times - 1) * (1 - right) / (left - right + (left == right))
    centre, ok = left * moved, np.abs(left - right) > 1e-3
    assert (np.rint(centre[ok]) == centre[ok].round(6)).all()
    chosen, counts = np.unique(np.rint(centre[ok]), return_counts=True)
    np.testing.assert_array_equal(chosen, np.arange(w + 1, times - 1 - w))
    for c in counts:
        within(c / counts.sum(), 1 / len(chosen), counts.sum())
    shift = moved - centre
    assert np.abs(shift[ok]).max() <= w and abs(shift[ok].mean()) < 4 * w / 3**0.5 / n**0.5
    assert abs(shift[ok].std() - w / 3**0.5) < 0.1


@pytest.mark.parametrize("axis, make", [(1, augment.FrequencyMask), (2, augment.TimeMask)])
def test_masks_have_the_asked_widths_and_all_places_equally_often(axis, make):
    n, size, widest = 30_000, 8, 4
    x = np.ones((n, size, 1) if axis == 1 else (n, 1, size), np.float32)
    y, _ = make(widest)(x, None, np.random.default_rng(0))
    hidden = (y == 0).reshape(n, size)
    width = hidden.sum(1)
    for w in range(widest + 1):
        within((width == w).mean(), 1 / (widest + 1), n)
        for start in range(size - w + 1 if w else 0):
            block = np.isin(np.arange(size), np.arange(start, start + w))
            within((hidden == block).all(1).mean(), 1 / (widest + 1) / (size - w + 1), n)


def test_masks_against_loops(rng):
    x = rng.standard_normal((3, 6, 9)).astype(np.float32)
    start, width = np.array([0, 4, 2]), np.array([3, 2, 0])
    for function, axis in ((specaugment.mask_frequencies, 1), (specaugment.mask_times, 2)):
        for value in (0.0, -2.5, "mean"):
            wanted = x.copy()
            for i in range(3):
                band = slice(start[i], start[i] + width[i])
                wanted[(i, band) if axis == 1 else (i, slice(None), band)] = x[i].mean() if value == "mean" else value
            before = x.copy()
            np.testing.assert_allclose(function(x, start, width, value), wanted, rtol=1e-6)
            np.testing.assert_array_equal(x, before)


def test_several_masks_the_share_p_and_the_mean():
    x = np.random.default_rng(1).random((4000, 20, 30)) + 1
    one, three = (augment.TimeMask(T=10, num=k)(x.copy(), None, np.random.default_rng(0))[0] for k in (1, 3))
    hidden = [(y == 0).all(1).sum(1) for y in (one, three)]
    assert hidden[0].max() == 10 and 10 < hidden[1].max() <= 30
    assert (hidden[1] >= hidden[0]).all()  # the first draw is the same
    bounded, _ = augment.TimeMask(T=100, p=0.2)(x.copy(), None, np.random.default_rng(0))
    widths = (bounded == 0).all(1).sum(1)
    assert set(np.unique(widths)) == set(range(7))
    filled, _ = augment.FrequencyMask(F=20, value="mean")(x.copy(), None, np.random.default_rng(0))
    changed = filled != x
    means = np.broadcast_to(x.mean((1, 2), keepdims=True), x.shape)
    np.testing.assert_allclose(filled[changed], means[changed])
    assert changed.any(2).sum(1).max() == 20 and (changed.any(2) == changed.all(2)).all()


def test_specaugment_is_its_steps_with_the_papers_defaults(rng):
    assert repr(augment.SpecAugment()) == "SpecAugment(W=80, F=27, m_F=1, T=100, p=1.0, m_T=1, value=0.0)"
    x = rng.standard_normal((5, 30, 50))
    policy = augment.SpecAugment(W=5, F=8, m_F=2, T=10, p=0.5, m_T=2)
    together, y = policy(x.copy(), "y", np.random.default_rng(7))
    steps = data.Compose([augment.TimeWarp(5), augment.FrequencyMask(8, 2), augment.TimeMask(10, 2, 0.5)])
    np.testing.assert_array_equal(together, steps(x.copy(), None, np.random.default_rng(7))[0])
    assert y == "y" and not (together == x).all()
    still = augment.SpecAugment(W=0, F=0, T=0)(x.copy(), None, np.random.default_rng(7))[0]
    np.testing.assert_array_equal(still, x)


# What all of them have in common

WAVES = [
    augment.TimeStretch(p=1.0), augment.PitchShift(p=0.5), augment.AddNoise(p=1.0), augment.RandomClip(400),
    augment.CutSplice(100), augment.SwapSplice(100, p=1.0), augment.Spectrogram(64),
]  # fmt: skip
SPECTRA = [augment.TimeWarp(5), augment.FrequencyMask(4), augment.TimeMask(6), augment.SpecAugment(W=4, F=5, T=6)]
CASES = [(t, (600,)) for t in WAVES] + [(t, (12, 20)) for t in SPECTRA]
each = pytest.mark.parametrize("transform, shape", CASES, ids=[type(t).__name__ for t, _ in CASES])


@each
def test_transforms_take_any_batch_and_draw_from_rng_alone(transform, shape, rng):
    x = rng.standard_normal((6, *shape))
    labels = np.arange(6)
    out, y = transform(x.copy(), labels, np.random.default_rng(3))
    assert y is labels and out.dtype == np.float64 and len(out) == 6 and np.isfinite(out).all()
    np.testing.assert_array_equal(out, transform(x.copy(), labels, np.random.default_rng(3))[0])
    assert len(np.unique(out.reshape(6, -1)[:, :400].round(9), axis=0)) == 6
    strided = np.repeat(x, 2, -1)[..., ::2]
    np.testing.assert_array_equal(out, transform(strided, labels, np.random.default_rng(3))[0])
    single, _ = transform(x.astype(np.float32), labels, np.random.default_rng(3))
    assert single.dtype == np.float32 and single.shape == out.shape
    np.testing.assert_allclose(single, out, atol=0.05 if not isinstance(transform, augment.Spectrogram) else 0.1)
    one, _ = transform(x[:1].copy(), labels[:1], np.random.default_rng(3))
    none, _ = transform(x[:0].copy(), labels[:0], np.random.default_rng(3))
    assert one.shape == (1, *out.shape[1:]) and none.shape == (0, *out.shape[1:])


@each
def test_transforms_refuse_other_shapes_and_integers(transform, shape, rng):
    with pytest.raises(TypeError, match="needs floating"):
        transform(np.zeros((2, *shape), np.int16), None, rng)
    if not isinstance(transform, augment.Spectrogram):
        with pytest.raises(ValueError, match=r"takes (waves \(N, L\)|spectrograms \(N, F, T\)), not"):
            transform(np.zeros(shape), None, rng)


X, S = np.ones((2, 50)), np.ones((2, 10, 20))


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        (lambda r: spectrum.stft(X, 100, pad_mode="reflect"), ValueError, "50 samples cannot be reflected"),
        (lambda r: spectrum.stft(X, 64, pad_mode="edge"), ValueError, "'constant' or 'reflect'"),
        (lambda r: spectrum.stft(X, 63), ValueError, "an even number of samples"),
        (lambda r: spectrum.stft(X, 64, 0), ValueError, "from 1 to n_fft = 64, not 0"),
        (lambda r: spectrum.stft(X[:, :0], 64), ValueError, "at least one sample"),
        (lambda r: spectrum.istft(spectrum.stft(X, 16, 16), 16), ValueError, "do not cover"),
        (lambda r: spectrum.istft(spectrum.stft(X, 16), length=500), ValueError, "do not cover all of 500"),
        (lambda r: spectrum.istft(X), ValueError, "complex spectra"),
        (lambda r: spectrum.resample(X, 0.0), ValueError, "speed is a number > 0"),
        (lambda r: vocoder.time_stretch(X, [1.0, -1.0]), ValueError, "rate is a number > 0"),
        (lambda r: vocoder.time_stretch(X, [1.0, 1.0, 1.0]), ValueError, "one for each of 2 waves"),
        (lambda r: vocoder.pitch_shift(X, np.nan), ValueError, "semitones is from -48 to 48, .* not nan"),
        (lambda r: vocoder.time_stretch(X, 1.0, n_fft=33), ValueError, "n_fft is an even number"),
        (lambda r: augment.TimeStretch((0.0, 1.0)), ValueError, "rate is .* nothing below 0.05"),
        (lambda r: augment.PitchShift(p=1.2), ValueError, "PitchShift: p is a probability"),
        (lambda r: audio.add_noise(X, X[:, :40], 3), ValueError, r"the shape of x, \(2, 50\), not \(2, 40\)"),
        (lambda r: audio.add_noise(X, 0 * X, 3), ValueError, "noise of a wave is silent"),
        (lambda r: augment.AddNoise((3, 1)), ValueError, "snr_db is"),
        (lambda r: audio.clip(X, 45, 10), ValueError, "does not lie within the waves of 50"),
        (lambda r: audio.cut_splice(X, [1, 2, 3], 4), ValueError, "start is an integer, or one for each of 2"),
        (lambda r: audio.swap_splice(X, 3, 6, 4), ValueError, "overlap"),
        (lambda r: augment.RandomClip(51)(X, None, r), ValueError, "waves of at least 51 samples, not 50"),
        (lambda r: augment.SwapSplice(26)(X, None, r), ValueError, "at least 52"),
        (lambda r: augment.CutSplice(0), ValueError, "max_length is a number of samples"),
        (lambda r: specaugment.time_warp(S, 5, 14), ValueError, "between the ends, columns 0 and 19"),
        (lambda r: augment.TimeWarp()(S, None, r), ValueError, "W=80 needs .* 163 times, not 20; here W is at most 8"),
        (lambda r: augment.FrequencyMask(F=11)(S, None, r), ValueError, "F=11 is more than the 10"),
        (lambda r: augment.FrequencyMask(value="median"), ValueError, "a number or 'mean'"),
        (lambda r: augment.SpecAugment(m_T=-1), ValueError, "num is an integer >= 0"),
        (lambda r: augment.TimeMask(p=3), ValueError, "TimeMask: p is a probability"),
        (lambda r: data.tones(3, classes=["harp"]), ValueError, "different names out of sine, "),
        (lambda r: data.tones(3, pitch=(100, 5000)), ValueError, "sample_rate / 2 = 4000"),
        (lambda r: data.tones(0), ValueError, "n is an integer >= 1"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(wrong, error, message, rng):
    with pytest.raises(error, match=message):
        wrong(rng)


# Tones


def test_tones_are_balanced_bounded_and_of_the_asked_pitch():
    x, y = data.tones(60, length=4000, pitch=(440, 440), rng=0)
    assert x.shape == (60, 4000) and x.dtype == np.float32 and y.dtype == np.int64
    assert np.bincount(y).tolist() == [10] * 6 and np.isfinite(x).all()
    loudest = np.abs(x).max(1)
    assert (0.29 < loudest).all() and (loudest < 0.91).all()
    for wave in x[(y == data.TONES.index("sine")) | (y == data.TONES.index("clarinet"))]:
        assert abs(peak(wave) - 440) < 2
    np.testing.assert_array_equal(x, data.tones(60, length=4000, pitch=(440, 440), rng=0)[0])
    noisy = data.tones(60, length=4000, pitch=(440, 440), noise=0.1, rng=0)[0]
    assert abs((noisy - x).std() - 0.1) < 1e-3


def test_no_partial_of_a_tone_is_folded_back():
    """A clarinet at 430 Hz has odd multiples of it; the eleventh, 4730 Hz, would be heard as 3270."""
    x, _ = data.tones(1, length=8000, classes="clarinet", pitch=(430, 430), rng=0)
    power = np.abs(np.fft.rfft(x[0] * np.hanning(8000))) ** 2
    near = np.abs(np.subtract.outer(np.arange(4001), 430 * np.arange(1, 10, 2))).min(1) < 15
    assert power[~near].sum() < 1e-3 * power.sum()


def test_waves_through_the_loader():
    tones = data.Dataset(*data.tones(12, length=1000, rng=0), classes=data.TONES)
    pipeline = data.Compose([augment.PitchShift(), augment.AddNoise(), augment.Spectrogram(64),
                             augment.SpecAugment(W=5, F=6, T=10)])  # fmt: skip
    batches = list(data.DataLoader(tones, batch_size=8, transform=pipeline, rng=0))
    assert [x.shape for x, _ in batches] == [(8, 33, 63), (4, 33, 63)]
    assert batches[0][0].dtype == np.float32
