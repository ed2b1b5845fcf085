"""The names that Claude Code gives to its worktrees: which ones nobody chose, and what git can take of them. Pure."""

from __future__ import annotations

import re

from wtname.generic import is_generic

MAX = 64  # characters of a name; Claude Code refuses more
# What Claude Code makes its random names of. All three have to fit: async-mapping-layer is somebody's own.
_LIKE = frozenset(
    """
    abstract abundant adaptive agile ancient async atomic binary breezy bright bubbly buzzing cached calm cheeky
    cheerful clever compiled composed compressed concurrent cosmic cozy crispy cryptic crystalline cuddly curious
    curried dapper dazzling declarative deep delegated delightful distributed dreamy drifting dynamic eager
    effervescent elegant encapsulated enchanted enumerated ethereal eventual expressive fancy federated fizzy
    flickering floating floofy fluffy fluttering foamy frolicking functional fuzzy generic gentle giggly gleaming
    glimmering glistening glittery glowing golden goofy graceful greedy groovy happy harmonic hashed hazy hidden
    humble humming idempotent immutable imperative indexed inherited iridescent iterative jaunty jazzy jiggly jolly
    joyful keen kind lazy lexical linear linked lively logical lovely lucky luminous magical majestic mellow melodic
    memoized merry mighty misty modular moonlit mossy mutable nested nifty noble optimized parallel parsed
    partitioned peaceful peppy piped playful polished polymorphic prancy precious proud pure purrfect purring quiet
    quirky quizzical radiant reactive recursive refactored reflective replicated resilient rippling robust rosy
    rustling scalable sequential serene serialized sharded shimmering shimmying shiny silly sleepy smooth snappy
    snazzy snoopy snug snuggly soft sorted sparkling spicy splendid sprightly squishy staged starry stateful
    stateless steady streamed structured sunny swift swirling synchronous synthetic temporal tender ticklish tidy
    tingly toasty tranquil transient twinkling twinkly typed unified valiant validated vast vectorized velvet
    velvety virtual vivid warm whimsical wiggly wild wise witty wobbly wondrous woolly zany zazzy zesty zippy
    """.split()
)
_DOING = frozenset(
    """
    baking beaming booping bouncing brewing bubbling chasing churning coalescing conjuring cooking crafting crunching
    cuddling dancing dazzling discovering doodling dreaming drifting enchanting exploring finding floating fluttering
    foraging forging frolicking gathering giggling gliding greeting growing hatching herding honking hopping hugging
    humming imagining inventing jingling juggling jumping kindling knitting launching leaping mapping marinating
    meandering mixing moseying munching napping nibbling noodling orbiting painting percolating petting plotting
    pondering popping prancing purring puzzling questing riding roaming rolling running sauteeing scribbling seeking
    shimmying singing skipping sleeping snacking sniffing snuggling soaring sparking spinning splashing sprouting
    squishing stargazing stirring strolling swimming swinging tickling tinkering toasting tumbling twirling waddling
    wandering watching weaving whistling wibbling wiggling wishing wobbling wondering yawning zooming
    """.split()
)
_THINGS = frozenset(
    """
    abelson acorn adleman aho allen alpaca anchor aurora avalanche axolotl babbage bachman backus badger balloon
    barto beacon bear beaver bee bengio bentley bird biscuit blanket blossom blum bonbon book boole boot breeze
    brook brooks bubble bumblebee bunny cake candle candy canyon cascade castle cat catmull cerf charm cherny
    chipmunk church clarke clock cloud clover cocke cocoa codd comet conway cook cookie coral corbato cosmos crab
    crane cray crayon creek crescent crown crystal cupcake curry dahl dawn deer dewdrop diffie dijkstra dolphin
    dongarra donut dove dragon dragonfly dream duckling dusk eagle eclipse eich elephant ember emerson engelbart
    fairy falcon feather feigenbaum fern fiddle finch firefly flame flamingo flask floyd flurry flute fog forest
    fountain fox frog frost gadget galaxy garden gem giraffe gizmo glacier glade globe goblet goose gosling graham
    gray grove hamming hammock hamster hanrahan harbor hare harp hartmanis haven hearth hedgehog hejlsberg hellman
    hennessy hickey hinton hippo hoare hollerith honey hopcroft hopper horizon hummingbird island iverson jellyfish
    journal kahan kahn karp kay kazoo kernighan kettle key kite kitten knuth koala kurzweil ladybug lagoon lake
    lamport lampson lantern lark leaf lecun lemon lemur lerdorf lighthouse lightning liskov llama lobster locket
    lollipop lovelace lynx manatee mango map marble marshmallow matsumoto mccarthy meadow meerkat melody metcalfe
    meteor micali milner minsky mist mitten mochi moler moon moonbeam moore moth mountain muffin music narwhal naur
    nebula nest neumann newell newt noodle nova nygaard oasis ocean octopus orbit origami otter owl pancake panda
    papert parasol parnas parrot pascal patterson peach peacock pearl pebble pelican penguin perlis petal phoenix
    pie piglet pike pillow pine pinwheel pixel pizza planet platypus plum pnueli pond pony popcorn porcupine pretzel
    prism pudding puddle puffin pumpkin puppy puzzle quail quasar quiche quill quilt quokka rabbit rabin raccoon
    rain rainbow raven reddy reef riddle ripple ritchie river rivest robin rocket rose rossum russell salamander
    scone scott scroll seahorse seal sedgewick shamir shannon shell shore sifakis simon sketch sky sloth snail
    snowflake snowglobe sonnet spark sparkle sparrow sphinx spindle spring sprout squid squirrel stallman star
    stardust starfish starlight stearns steele stonebraker storm stream stroustrup summit sun sunbeam sundae sunrise
    sunset sutherland sutton swan swing taco tarjan teacup teapot thacker thimble thompson thunder tide tiger toast
    token tome torvalds toucan tower treasure treehouse trinket truffle tulip turing turtle twilight ullman umbrella
    unicorn valiant valley volcano wadler waffle wall walrus wand waterfall wave whale whisper whistle widget
    wigderson wilkes wilkinson willow wind wirth wolf wombat wozniak wreath wren yao yeti zebra zephyr
    """.split()
)
_MACHINE = re.compile(r"(?:agent|bridge)-[\w-]+\Z")


def is_generated(name: str) -> bool:
    """Whether Claude Code made this name up: random words, or the id of an agent."""
    if not name or _MACHINE.match(name):
        return True
    words = name.split("-")
    if len(words) == 3 and words[0] in _LIKE and words[1] in _DOING and words[2] in _THINGS:
        return True
    return is_generic(name) or is_generic("worktree-" + name)


def plain(name: object) -> str:
    """What of a name may stand in a branch's: letters, digits, dots, dashes and underscores, in parts with slashes
    between; nothing where nothing is left."""
    if not isinstance(name, str):
        return ""
    from wtname.naming import to_ascii

    parts = []
    for part in to_ascii(name[: 4 * MAX]).split("/"):
        part = re.sub(r"[^A-Za-z0-9_.-]+", "-", part)
        part = re.sub(r"\.{2,}|\.lock\b", "-", part).strip("-.")
        if part:
            parts.append(part)
    return "/".join(parts)[:MAX].strip("-./")


def flat(name: str) -> str:
    """The name as Claude Code writes it where no slash may stand."""
    return name.replace("/", "+")
