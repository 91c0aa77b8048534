"""Forms of English words that no ending tells: `went` is said of what somebody asks by `go`. Pure.

Stemming cuts endings off, so it brings `walked` to `walk` and leaves these apart. Left out are forms that are more often
a word of their own, as `ground`, `rose` or `bound`.
"""

from collections.abc import Mapping

_FORMS = """
arise arose arisen, awake awoke awoken, be am is are was were been, bear bore borne, beat beaten, become became, begin began begun,
bend bent, bite bitten, bleed bled, blow blew blown, break broke broken, breed bred, bring brought, build built, burn burnt, buy bought,
catch caught, choose chose chosen, cling clung, come came, creep crept, deal dealt, dig dug, do did done, draw drew drawn, dream dreamt,
drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen, feed fed, feel felt, fight fought, find found, flee fled,
fling flung, fly flew flown, forbid forbade forbidden, forget forgot forgotten, forgive forgave forgiven, freeze froze frozen,
get got gotten, give gave given, go went gone goes, grow grew grown, hang hung, have had has, hear heard, hide hid hidden, hold held,
keep kept, kneel knelt, know knew known, lead led, learn learnt, leave left, lend lent, lie lain, light lit, lose lost, make made,
mean meant, meet met, mistake mistook mistaken, overcome overcame, pay paid, ride rode ridden, ring rang rung, rise risen, run ran,
say said, see saw seen, seek sought, sell sold, send sent, sew sewn, shake shook shaken, shine shone, shoot shot, show shown,
shrink shrank shrunk, sing sang sung, sink sank sunk, sit sat, sleep slept, slide slid, speak spoke spoken, spend spent, spin spun,
spring sprang sprung, stand stood, steal stole stolen, stick stuck, sting stung, strike struck, swear swore sworn, sweep swept,
swim swam swum, swing swung, take took taken, teach taught, tear tore torn, tell told, think thought, throw threw thrown,
understand understood, undertake undertook undertaken, undo undid undone, wake woke woken, wear wore worn, weave wove woven, weep wept,
win won, withdraw withdrew withdrawn, write wrote written, rewrite rewrote rewritten, override overrode overridden,
rebuild rebuilt, rethink rethought, overwrite overwrote overwritten,
child children, man men, woman women, person people, foot feet, tooth teeth, mouse mice, goose geese, wife wives, knife knives,
half halves, wolf wolves, shelf shelves, thief thieves, loaf loaves, index indices, matrix matrices, vertex vertices,
criterion criteria, analysis analyses, crisis crises, hypothesis hypotheses, appendix appendices
"""

BASE_FORMS: Mapping[str, str] = {
    form: base for base, *forms in (entry.split() for entry in _FORMS.replace("\n", " ").split(",")) for form in forms
}
"""Lower-case form to the word that it is a form of."""
