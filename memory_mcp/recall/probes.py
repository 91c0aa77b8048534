"""Pairs of a question and a memory that answers it, none of them about another: what a model's scale is read from.

They are everyday, technical and in several languages, short and long, as memories are; nothing here is about anyone.
A change of this list changes every score: fit `calibration` anew.
"""

PAIRS: tuple[tuple[str, str], ...] = (
    ("How many moons does Jupiter have?", "Astronomers have counted 95 moons around Jupiter so far."),
    (
        "How do I prune an apple tree in winter?",
        "Apple trees: cut back in February, dead wood and crossing branches first, on a dry day without frost.",
    ),
    ("Which airline lost my suitcase?", "The suitcase never arrived; Iberia has a claim open for it under reference K7R2."),
    ("What was the price of wheat that year?", "Wheat stood at 212 euros a tonne at the end of the year."),
    ("Who won the chess championship?", "Elif took the chess title with half a point to spare."),
    (
        "How do submarines control their depth?",
        "A submarine floods its ballast tanks to dive and blows them out with compressed air to rise.",
    ),
    ("What is the penalty for late payment of property tax?", "Paying the property tax late costs one percent for every month begun."),
    ("Where do monarch butterflies spend the winter?", "Monarchs fly to the fir forests of Michoacán and stay there until March."),
    ("How thick should the insulation of the attic be?", "The energy adviser said 24 cm of mineral wool under the roof."),
    ("Which vaccine is needed for the trip?", "For Ghana we have to be vaccinated against yellow fever."),
    ("How does a sewing machine form a stitch?", "The hook catches the upper thread and carries it around the bobbin."),
    ("Why is the cuckoo clock slow?", "The cuckoo clock loses ten minutes a day because its pendulum is bent."),
    ("Which rivers flow through the city?", "The Danube and the Wien run through town."),
    (
        "How do I replace the chain of a bicycle?",
        "New bike chain: open the quick link, count the links of the old one, thread it through the derailleur.",
    ),
    ("What is the recipe for mayonnaise?", "Mayonnaise: one yolk, a spoon of mustard, then 200 ml of oil drop by drop, lemon at the end."),
    ("Which tooth hurt at the dentist?", "The dentist found a crack in the lower left molar; that was the one that ached."),
    ("How is the interest on the savings account paid?", "Interest is added to the savings account every quarter at 2.1 percent."),
    ("How do I open a port in the firewall of the mail server?", "ufw allow 587/tcp on mail01, then reload; the rule is kept in /etc/ufw."),
    (
        "Which index speeds up the orders query?",
        "CREATE INDEX orders_by_customer ON orders (customer_id, placed_at) took the report from 9 s to 40 ms.",
    ),
    (
        "Why does the compiler reject this template?",
        "error C2027: use of undefined type. The template needs the full definition, so include node.hpp before it.",
    ),
    (
        "function that reverses a linked list",
        "def reverse(head):\n    previous = None\n    while head:\n"
        "        head.next, previous, head = previous, head, head.next\n    return previous",
    ),
    ("how to round a number up in javascript", "const up = (value, step) => Math.ceil(value / step) * step; // rounds to the next step"),
    ("What did the customer say about the invoice?", "Mr Osei complained that the bill lists the travel costs twice."),
    ("When is the next board meeting?", "The board meets again on the 14th at nine, in the small room."),
    ("Who approved the marketing budget?", "Priya signed off 80,000 for the campaign."),
    ("Which supplier delivers the steel pipes?", "Pipes come from Hadfield in Sheffield, lead time six weeks."),
    ("How is the garbage collector tuned?", "We run G1 with -XX:MaxGCPauseMillis=100; anything lower made collections more frequent."),
    ("What colour is the new sofa?", "We took the couch in dark green."),
    ("Where did grandmother go to school?", "Grandma attended the convent school in Cork until she was fourteen."),
    ("Which medicine does the cat take?", "Half a tablet of methimazole for Minka, morning and evening, hidden in tuna."),
    ("What time does the train to the airport leave?", "The airport express goes at 6:42 from platform 3."),
    ("How many people came to the wedding?", "There were 120 guests when Tom and Aisha got married."),
    ("What is the password policy for contractors?", "External staff change passwords every 60 days and need a hardware token."),
    ("How do I sharpen a kitchen knife?", "Whetstone, first 1000 then 6000 grit, at fifteen degrees, ten strokes a side."),
    ("Which museum shows the dinosaur bones?", "We saw the Brachiosaurus skeleton at the natural history museum in Berlin."),
    ("Does she like horror films?", "I can't stand scary movies, they keep me up all night."),
    ("What does he do to relax after work?", "A long run by the canal is how I unwind in the evening."),
    ("What pets do they have?", "We adopted two guinea pigs, Salt and Pepper!"),
    ("Wie oft muss der Filter gewechselt werden?", "Den Filter der Lüftung alle drei Monate tauschen."),
    ("Quel est le prix du billet de concert ?", "Les places pour le concert coûtent 45 euros."),
)
"""(question, answer)."""
