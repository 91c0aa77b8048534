"""What is a kind of what: who asks for instruments means the memory of a clarinet, too, which never says the word. Pure.

English words for what most people and most projects have, as a picture dictionary lists them. A word is left out where it
mostly means something else, as `date` or `orange`, and a class whose name is mostly something else, as `state`.
"""

from collections.abc import Mapping

_KINDS = """
animal: pet bird insect reptile cow pig sheep goat bear wolf fox deer lion tiger elephant monkey giraffe zebra whale dolphin shark seal
  squirrel frog hedgehog beaver bat camel donkey kangaroo panda otter raccoon mouse rat fish chicken horse
pet: dog cat puppy kitten hamster rabbit bunny turtle tortoise parrot budgie canary goldfish guinea ferret pony gecko lizard snake
bird: parrot canary budgie owl eagle hawk robin sparrow crow raven pigeon duck goose swan penguin gull woodpecker hummingbird
insect: bee wasp ant butterfly moth beetle mosquito spider dragonfly cockroach cricket
reptile: snake lizard gecko turtle tortoise crocodile alligator iguana
instrument: guitar piano violin cello viola flute clarinet oboe bassoon saxophone trumpet trombone horn tuba drum ukulele banjo mandolin
  harp harmonica accordion organ xylophone synthesizer
sport: football soccer basketball baseball softball volleyball tennis badminton squash golf hockey rugby cricket handball swimming diving
  running marathon cycling skiing snowboarding skating surfing sailing rowing climbing gymnastics boxing wrestling fencing archery karate
  judo taekwondo triathlon
martial: karate judo taekwondo aikido kickboxing boxing wrestling jujitsu fencing
exercise workout: yoga pilates running jogging swimming cycling weightlifting weights stretching aerobics cardio squats pushups rowing
  walking hiking boxing kickboxing climbing skipping gym
activity hobby pastime: hiking camping swimming running jogging cycling biking climbing fishing sailing kayaking skiing surfing skating
  painting drawing sketching pottery knitting sewing crochet photography gardening cooking baking reading writing singing dancing acting
  gaming chess puzzle yoga picnic travel volunteering birdwatching woodworking origami astronomy karaoke bowling
outdoor: hiking camping climbing fishing kayaking canoeing skiing surfing sailing picnic cycling biking trail
art craft: painting drawing sketch sculpture pottery ceramics photography mural collage watercolor portrait mosaic embroidery calligraphy
food: fruit vegetable dish dessert bread rice pasta cheese meat chicken beef pork bacon ham sausage salmon tuna shrimp egg yogurt butter
  cereal oatmeal tofu bean lentil nut peanut almond snack chip popcorn honey jam
fruit: apple banana pear peach plum cherry grape strawberry blueberry raspberry lemon lime mango pineapple melon watermelon kiwi apricot
vegetable: carrot potato tomato onion garlic pepper cucumber lettuce spinach cabbage broccoli cauliflower pea corn mushroom pumpkin
  zucchini
dish meal recipe: breakfast lunch dinner brunch pizza pasta spaghetti lasagna soup stew salad curry sandwich burger taco burrito sushi
  risotto omelette casserole roast barbecue noodle steak dessert
dessert: cake pie cookie brownie cupcake muffin tart pudding cheesecake pastry donut mousse sorbet chocolate candy pancake waffle
drink beverage: coffee tea juice beer wine soda smoothie milk lemonade cocktail whiskey cocoa cider champagne water
clothes: shirt blouse sweater hoodie jacket coat dress skirt jeans trousers pants shorts suit scarf glove hat cap sock shoe uniform
  pajamas
shoe footwear: sneaker boot sandal slipper heel
jewelry: necklace ring bracelet earring brooch pendant watch
furniture: sofa couch chair armchair desk shelf bookcase wardrobe dresser mattress stool cupboard
appliance: fridge oven stove dishwasher microwave toaster kettle blender vacuum freezer dryer
tool: hammer screwdriver saw drill wrench pliers axe shovel rake
vehicle transport: car bus truck van bicycle bike motorcycle scooter train tram subway boat ship ferry plane airplane helicopter taxi
toy: doll puzzle lego teddy kite balloon
family: mother mom mum father dad parent brother sister sibling son daughter child wife husband spouse grandmother grandma grandfather
  grandpa granny aunt uncle cousin nephew niece
child kid: son daughter baby toddler
job profession occupation career: teacher nurse doctor engineer lawyer banker manager waiter mechanic programmer developer accountant chef
  journalist plumber electrician carpenter architect pilot farmer barista cashier dentist pharmacist librarian designer scientist
  photographer secretary receptionist firefighter
place location: beach park forest mountain lake river island desert museum cafe restaurant library castle church temple zoo harbor village
  city country
country nation: england britain uk ireland scotland wales france germany spain portugal italy greece switzerland austria belgium
  netherlands denmark sweden norway finland iceland poland czechia hungary romania bulgaria croatia ukraine russia turkey israel egypt
  morocco nigeria kenya ethiopia ghana india pakistan bangladesh china japan korea vietnam thailand indonesia malaysia singapore
  philippines australia canada usa mexico brazil argentina chile peru colombia cuba
city town: london paris berlin munich hamburg vienna zurich rome milan venice florence madrid barcelona lisbon athens dublin edinburgh
  manchester amsterdam brussels copenhagen stockholm oslo helsinki warsaw prague budapest istanbul moscow cairo dubai mumbai delhi bangkok
  singapore tokyo kyoto seoul beijing shanghai sydney melbourne toronto vancouver montreal chicago boston seattle miami denver dallas
  houston atlanta philadelphia detroit portland
event: festival parade concert conference workshop party wedding birthday funeral fair race marathon competition tournament exhibition
  gala fundraiser meetup ceremony convention reunion seminar webinar hackathon auction protest rally launch retreat
competition contest: tournament championship race marathon olympics playoff hackathon
disaster: flood fire earthquake storm hurricane tornado wildfire drought avalanche tsunami
illness disease sickness: flu fever cancer diabetes asthma allergy migraine headache pneumonia covid measles arthritis depression anxiety
injury: fracture sprain bruise concussion burn wound
medicine medication: aspirin ibuprofen paracetamol antibiotic insulin painkiller
emotion: happy sad angry afraid scared anxious proud lonely jealous excited nervous grateful
color colour: red blue green yellow purple pink black white brown grey gray turquoise
flower plant: rose tulip daisy lily sunflower orchid lavender daffodil dahlia violet
tree plant: oak pine maple birch willow fir palm
weather: rain snow storm sunny cloudy fog hail wind thunder
season: spring summer autumn winter
holiday: christmas easter thanksgiving halloween hanukkah ramadan diwali
science: math mathematics physics chemistry biology geography economics psychology
writing: story novel poem poetry screenplay script blog article essay letter diary journal
book: novel trilogy biography memoir textbook chapter
author writer: novelist poet tolkien rowling shakespeare austen dickens hemingway orwell
movie film: comedy thriller documentary sequel cinema trilogy
genre: comedy thriller drama romance fantasy horror mystery documentary biography western
music: jazz rock pop classical blues reggae opera symphony song concert rap folk
musician artist: singer guitarist pianist drummer violinist band composer
game: chess monopoly scrabble poker tetris minecraft mario zelda catan sudoku solitaire dominoes
console: xbox playstation nintendo gamecube sega
device gadget: phone smartphone laptop tablet computer camera printer headphones monitor keyboard router smartwatch
religion: christian muslim jewish hindu buddhist catholic protestant church mosque temple synagogue
material: wood metal glass plastic leather cotton wool silk paper concrete
metal: iron steel copper gold silver aluminium aluminum zinc tin
currency: dollar euro pound yen franc rupee yuan
database: postgres postgresql mysql mariadb sqlite mongodb redis oracle cassandra dynamodb snowflake bigquery clickhouse duckdb
language: english german french spanish italian portuguese dutch polish russian arabic hebrew hindi chinese japanese korean turkish python
  java javascript typescript kotlin scala ruby php perl haskell golang
os: linux windows macos ubuntu debian android ios
browser: chrome firefox safari opera edge
framework: django flask fastapi rails spring react angular vue svelte laravel express
cloud: aws azure gcp heroku digitalocean cloudflare
ide: vim emacs vscode intellij pycharm neovim
queue broker: kafka rabbitmq sqs celery nats
"""
"""Lines of classes, a colon and what is of them; a line that is indented goes on with the one before."""


def _members() -> dict[str, frozenset[str]]:
    direct: dict[str, set[str]] = {}
    for line in _KINDS.replace("\n  ", " ").strip().splitlines():
        classes, members = (part.split() for part in line.split(":"))
        for one in classes:
            direct.setdefault(one, set()).update(members)
    return {one: frozenset(members.union(*(direct.get(member, ()) for member in members)) - {one}) for one, members in direct.items()}


KINDS: Mapping[str, frozenset[str]] = _members()
"""A class, as a lower-case word in the singular, to the words for what is of it; a class among them brings its own along."""
