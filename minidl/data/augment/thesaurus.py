"""A small English thesaurus for `minidl.data.augment.text`: words that may stand for each other, and stop words.

A line is a group; all words of a group are synonyms of each other, and no word is in two groups. That is coarser than
a real thesaurus, where a word has several senses; it is enough to learn with. For real work give the transforms a
thesaurus of your own, any mapping or function word -> synonyms (WordNet's, for instance: Miller 1995, "WordNet: a
lexical database for English", Communications of the ACM 38(11)).

>>> from minidl.data.augment import thesaurus
>>> thesaurus.SYNONYMS["quick"]
('fast', 'rapid', 'speedy', 'swift')
>>> "the" in thesaurus.STOP_WORDS
True
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["STOP_WORDS", "SYNONYMS"]

_GROUPS = """
quick fast rapid speedy swift
quickly rapidly swiftly speedily
slow sluggish unhurried
slowly gradually unhurriedly
big large huge enormous
bigger larger
small little tiny miniature
smaller littler tinier
good fine excellent great
bad poor awful terrible
badly poorly terribly
funny amusing humorous comical
sad gloomy sorrowful mournful
happy glad joyful cheerful
happily gladly joyfully cheerfully
angry furious irate
afraid scared frightened
calm quiet peaceful tranquil
quietly calmly peacefully
loud noisy
beautiful lovely pretty gorgeous
ugly unsightly
clever smart intelligent bright
foolish silly daft
brave bold courageous fearless
gentle caring tender
rich wealthy affluent
strong sturdy robust
weak feeble frail
hot scorching
cold chilly icy
wet damp moist
dry arid
dark dim unlit
old aged elderly
new recent modern
strange odd weird peculiar
usual common ordinary normal
usually commonly normally
rare uncommon scarce
easy simple effortless
easily simply effortlessly
difficult hard tough tricky
important significant crucial essential
interesting engaging absorbing gripping
boring dull tedious tiresome
exciting thrilling stirring
tired weary exhausted
hungry famished
tasty delicious flavoursome
clean spotless tidy
dirty filthy grubby
correct accurate
wrong incorrect mistaken
whole entire complete
empty vacant
famous renowned celebrated
careful cautious wary
carefully cautiously warily
sudden abrupt unexpected
suddenly abruptly unexpectedly
often frequently regularly
rarely seldom
almost nearly
maybe perhaps possibly
clearly plainly obviously
completely totally entirely fully
especially particularly
film movie picture
films movies pictures
book volume
books volumes
story tale narrative
stories tales narratives
actor performer player
actors performers players
song tune melody
songs tunes melodies
house dwelling
houses dwellings
street road lane
streets roads lanes
town city
towns cities
shop store
shops stores
car automobile
cars automobiles
boat ship vessel
boats ships vessels
journey trip voyage
journeys trips voyages
child kid youngster
children kids youngsters
friend companion pal
friends companions pals
teacher tutor instructor
teachers tutors instructors
doctor physician
doctors physicians
job occupation profession
jobs occupations professions
idea notion thought
ideas notions thoughts
problem difficulty trouble
problems difficulties troubles
mistake error blunder
mistakes errors blunders
answer reply response
answers replies responses
question query
questions queries
result outcome
results outcomes
part piece portion
parts pieces portions
meals dinners suppers
meal dinner supper
garden yard
forest woods
stone rock
stones rocks
hill mound
path trail track
paths trails tracks
speak talk chat
speaks talks chats
spoke talked chatted
say remark
said remarked
look gaze stare
looks gazes stares
looked gazed stared
walk stroll wander
walks strolls wanders
walked strolled wandered
sprint dash
sprints dashes
ran sprinted dashed
begin start commence
begins starts commences
began started commenced
finish end conclude
finishes ends concludes
finished ended concluded
make create build
makes creates builds
made created built
get obtain acquire
got obtained acquired
help aid assist
helps aids assists
helped aided assisted
enjoy appreciate
enjoys appreciates
enjoyed appreciated
love adore cherish
loves adores cherishes
loved adored cherished
hate detest loathe
hated detested loathed
want wish desire
wants wishes desires
wanted wished desired
show display exhibit
shows displays exhibits
showed displayed exhibited
choose select pick
chose selected picked
buy purchase
bought purchased
keep retain hold
kept retained held
shout yell
shouted yelled
laugh giggle chuckle
laughed giggled chuckled
cry weep sob
cried wept sobbed
jump leap hop
jumped leapt hopped
throw toss fling
threw tossed flung
fix repair mend
fixed repaired mended
understand comprehend grasp
understood comprehended grasped
"""

_STOP = """
a about above after again against all also am an and any are aren't as at be because been before being below between
both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each either else ever
every few for from further had hadn't has hasn't have haven't having he he'd he'll he's her here here's hers herself
him himself his how i i'd i'll i'm i've if in into is isn't it it'd it'll it's its itself just let's may me might more
most must mustn't my myself neither never no none nor not now of off on once one only or other ought our ours ourselves
out over own same shall she she'd she'll she's should shouldn't so some such than that that's the their theirs them
themselves then there there's these they they'd they'll they're they've this those though through to too under until up
upon us very was wasn't we we'd we'll we're we've were weren't what what's when where which while who who's whom whose
why will with won't would wouldn't yet you you'd you'll you're you've your yours yourself yourselves
"""

STOP_WORDS: frozenset[str] = frozenset(_STOP.split())
SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        word: tuple(other for other in group if other != word)
        for group in map(str.split, _GROUPS.strip().splitlines())
        for word in group
    }
)
