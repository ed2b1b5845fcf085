"""The words that machines make random names of. Data, each word once for what it is."""

# Adjectives of random names, Claude Code's among them. No word that work is described with: lazy, dark, clean, async.
_ADJECTIVES = frozenset(
    """
    abundant agile ancient breezy bright bubbly calm cheeky cheerful clever cosmic cozy cuddly curious dapper
    dazzling delightful dreamy eager elegant enchanted ethereal fancy fluffy fuzzy gentle giggly gleaming glowing
    golden goofy graceful groovy happy hazy hidden humble jaunty jolly joyful keen lively lovely lucky luminous
    magical majestic mellow merry mighty misty nifty noble peaceful peppy playful polished precious proud purring
    quiet quirky radiant serene shiny silly sleepy smooth snappy snug soft sparkling spicy splendid sprightly starry
    steady sunny swift tender tidy tranquil twinkly valiant velvet vivid warm whimsical wild wise witty wobbly
    wondrous zany zesty zippy
    """.split()
)
# Adjectives of others alone.
ADJECTIVES = _ADJECTIVES | frozenset(
    """
    amber bold brave charming crimson crisp crystal emerald epic fierce gracious grand grumpy jovial lunar modest
    mystic neon nimble optimistic plucky purple quick rapid regal restless royal rustic scarlet silent silver sly
    smart sneaky solar sparkly stellar stoic tiny upbeat vibrant vigilant wandering wizardly wonderful young zealous
    zen
    """.split()
)
# Animals, plants, sky, land, sweets and great names. No word of computing: tree, branch, cookie, engine, pixel, shell.
_NOUNS = frozenset(
    """
    abelson acorn alpaca aurora avalanche axolotl babbage badger bear beaver bee bird biscuit blossom breeze brook
    brooks bumblebee bunny candle canyon cascade castle cat chipmunk church cloud clover comet coral cosmos crab
    crane creek crescent crown crystal curry dawn deer dewdrop dijkstra dolphin donut dove dragon dragonfly dusk
    eagle eclipse elephant ember falcon feather fern finch firefly flame flamingo floyd fog forest fox frog frost
    galaxy garden giraffe glacier glade goose grove hamster harbor hare harp hedgehog hellman hippo hopper horizon
    hummingbird island jellyfish karp kay kernighan kettle kite kitten knuth koala ladybug lagoon lake lamport
    lantern lark lemur lighthouse lightning liskov llama lobster lovelace lynx manatee mango meadow meerkat meteor
    minsky moon moonbeam mountain muffin narwhal nebula newt nova oasis ocean octopus otter owl panda parrot peach
    peacock pearl pebble pelican penguin petal phoenix pine planet platypus pond pony porcupine prism puffin pumpkin
    puppy quail quasar quokka rabbit raccoon rain rainbow raven reef ripple ritchie river robin rocket rose
    salamander seahorse seal shannon shore sky sloth snail snowflake spark sparrow sphinx squid squirrel star
    stardust starfish starlight stonebraker storm summit sun sunbeam sunrise sunset swan tarjan thompson thunder
    tide tiger toucan tulip turing turtle twilight unicorn valley volcano waffle walrus waterfall whale willow wind
    wolf wombat wozniak wren yeti zebra zephyr
    """.split()
)
# Nouns of others alone.
NOUNS = _NOUNS | frozenset(
    """
    albatross ant antelope ape bison butterfly cabin cactus camel cedar cheetah cobra cougar coyote crow curie
    darwin desert dingo dog donkey duck einstein elm euler ferret flower gazelle gecko goat gorilla gull hamilton
    hawk heron horse ibex ibis iguana jackal jaguar kangaroo kiwi knight koi leopard lion lizard lotus macaw magpie
    mammoth maple marmot mink mongoose moose mule newton oak opossum orca orchid ostrich ox panther pheasant pig
    pigeon possum puma ram ray rhino sage sailor shark sheep shrimp skunk snake spider swallow tesla tortoise turkey
    viper vulture warthog wasp weasel wizard wolverine woodpecker yak
    """.split()
)
# What Claude Code makes its names of: three words, one of each list. Words of work are among them, so all three have
# to fit: async-mapping-layer is somebody's own.
CLAUDES_LIKE = _ADJECTIVES | frozenset(
    """
    abstract adaptive async atomic binary buzzing cached compiled composed compressed concurrent crispy cryptic
    crystalline curried declarative deep delegated distributed drifting dynamic effervescent encapsulated enumerated
    eventual expressive federated fizzy flickering floating floofy fluttering foamy frolicking functional generic
    glimmering glistening glittery greedy harmonic hashed humming idempotent immutable imperative indexed inherited
    iridescent iterative jazzy jiggly kind lazy lexical linear linked logical melodic memoized modular moonlit mossy
    mutable nested optimized parallel parsed partitioned piped polymorphic prancy pure purrfect quizzical reactive
    recursive refactored reflective replicated resilient rippling robust rosy rustling scalable sequential
    serialized sharded shimmering shimmying snazzy snoopy snuggly sorted squishy staged stateful stateless streamed
    structured swirling synchronous synthetic temporal ticklish tingly toasty transient twinkling typed unified
    validated vast vectorized velvety virtual wiggly woolly zazzy
    """.split()
)
CLAUDES_DOING = frozenset(
    """
    baking beaming booping bouncing brewing bubbling chasing churning coalescing conjuring cooking crafting
    crunching cuddling dancing dazzling discovering doodling dreaming drifting enchanting exploring finding floating
    fluttering foraging forging frolicking gathering giggling gliding greeting growing hatching herding honking
    hopping hugging humming imagining inventing jingling juggling jumping kindling knitting launching leaping
    mapping marinating meandering mixing moseying munching napping nibbling noodling orbiting painting percolating
    petting plotting pondering popping prancing purring puzzling questing riding roaming rolling running sauteeing
    scribbling seeking shimmying singing skipping sleeping snacking sniffing snuggling soaring sparking spinning
    splashing sprouting squishing stargazing stirring strolling swimming swinging tickling tinkering toasting
    tumbling twirling waddling wandering watching weaving whistling wibbling wiggling wishing wobbling wondering
    yawning zooming
    """.split()
)
CLAUDES_THINGS = _NOUNS | frozenset(
    """
    adleman aho allen anchor bachman backus balloon barto beacon bengio bentley blanket blum bonbon book boole boot
    bubble cake candy catmull cerf charm cherny clarke clock cocke cocoa codd conway cook cookie corbato cray crayon
    cupcake dahl diffie dongarra dream duckling eich emerson engelbart fairy feigenbaum fiddle flask flurry flute
    fountain gadget gem gizmo globe goblet gosling graham gray hamming hammock hanrahan hartmanis haven hearth
    hejlsberg hennessy hickey hinton hoare hollerith honey hopcroft iverson journal kahan kahn kazoo key kurzweil
    lampson leaf lecun lemon lerdorf locket lollipop map marble marshmallow matsumoto mccarthy melody metcalfe
    micali milner mist mitten mochi moler moore moth music naur nest neumann newell noodle nygaard orbit origami
    pancake papert parasol parnas pascal patterson perlis pie piglet pike pillow pinwheel pixel pizza plum pnueli
    popcorn pretzel pudding puddle puzzle quiche quill quilt rabin reddy riddle rivest rossum russell scone scott
    scroll sedgewick shamir shell sifakis simon sketch snowglobe sonnet sparkle spindle spring sprout stallman
    stearns steele stream stroustrup sundae sutherland sutton swing taco teacup teapot thacker thimble toast token
    tome torvalds tower treasure treehouse trinket truffle ullman umbrella valiant wadler wall wand wave whisper
    whistle widget wigderson wilkes wilkinson wirth wreath yao
    """.split()
)
