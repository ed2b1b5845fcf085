"""What is known about words, pure: which stay whole, which say nothing, what their forms have in common."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# Read as one word however they are cased; everything else splits at its humps.
WHOLE = frozenset(
    """airbnb appstore arxiv asciidoc bibtex bitbucket bittorrent btrfs centos clickhouse cloudformation cloudfront
    cmake codecov coffeescript couchdb crowdin devops devtools dns dockerfile dockerhub dropbox duckdb dynamodb
    ebpf ecmascript elasticsearch eslint facebook fastapi ffmpeg firefox freebsd geojson github gitlab gitops gopath
    graphql grpc haproxy hubspot icloud influxdb inkscape intellij ios ipad ipados iphone ipv4 ipv6 istio javadoc
    javascript jquery json jsonl jsonp keycloak kubectl latex launchpad libreoffice linkedin livecd localstorage
    luajit macos macbook makefile mariadb markdown matlab mediawiki microsoft mongodb mysql myisam netbsd newrelic
    nextjs nodejs npm numpy oauth oauth1 oauth2 openapi openbsd opengl openid openldap openshift openssh openssl
    openstack opentelemetry openvpn outlook pagerduty paypal phantomjs postgis postgres postgresql powershell
    pypi pyqt pyside pytest pytorch qemu rabbitmq readme reactjs redhat restructuredtext rocksdb rspec rubocop
    rubygems sass scipy scikit sendgrid servicenow sharepoint sqlalchemy sqlite stackoverflow steamos stylelint
    superset swiftui systemd tensorflow terraform toml tvos typescript uitableview uikit unix vmware vscode vuejs
    watchos webassembly webdav webgl webgpu webhook webhooks webkit webpack webrtc websocket websockets whatsapp
    wifi wiktionary wikipedia wordpress xcode xhtml xpath yaml youtube zfs""".split()
)

FILLER = frozenset(
    """a an the of for to in on with and or from by at is are be been was were as it its this that these those into some
    more most than then so if when where while which who whose what why how we our us i im ive my me you your they their
    them he she his her there here theres do does did doesnt dont didnt isnt arent wasnt has have had having can could
    would should will shall may might must cant couldnt wont wouldnt shouldnt not just also only very really currently
    now please pls plz u ur lets let get gets got getting make makes making made sure ensure want wants need needs
    needed like about after before but because since until still too any all each every both other another such same
    up out over via per etc e g eg ie ok okay hey hi hello thanks thank thx lol btw fyi well actually maybe think know
    see look looks try trying take takes put give gives go goes going come comes bit lot lots kind sort thing things
    stuff way good better nice new proper properly correctly able something somebody someone people users everyone
    one two again always never ever even already yet instead rather use uses used using today yesterday tomorrow
    no yes none id youre were hes shes itd thats whats wip bitte und der die das im fuer den dem ein eine mit von
    zu""".split()
)
# Small words of German, Spanish, French, Portuguese, Italian and Dutch, in ASCII. Some are English words too, so they
# count as filler only in company.
FOREIGN = frozenset(
    """aber alle als am an auch auf aus bei beim bin bis bitte da damit dann das dass dem den der des die doch dort
    durch ein eine einem einen einer eines er es fuer fur haben hat hier ich ihr im immer in ist ja jede jeder jedes
    kann kein keine man mehr mit muss nach nicht noch nur ob oder ohne sein sich sie sind soll sollen sollte sollten
    statt uber um und uns unser unsere unter vom von vor wahrend wann war warum was wenn wer werden wie wieder wir
    wird wo zu zum zur al algo como con cuando de del donde el ella en esta estan este esto hay la las lo los mas
    muy nos nuestra nuestro o para pero por porque que se si sin sobre su sus tambien tiene todo un una uno y ya au
    aussi aux avec car ce ces cette chaque dans du elle est et ete etre fait faut il ils je le les leur mais meme ne
    nous on ou par pas plus pour quand qui sa ses son sont sur tous tout une vous ao aos as ate com do dos ela ele
    em essa esse eu foi isso na nao nas no num numa os pela pelo quando sao sem ser seu so tem uma che ci cosi dal
    dalla degli dei della delle di e gli ha ho mi nel nella non piu questo sono sul sulla ti tra tutti aan bij dat
    deze dit door een geen het hij ik is kan maar met moet naar niet nog nu om onze ook op te uit van veel voor wat
    we wel worden ze zijn zo""".split()
)
_SINGULAR = frozenset(
    """class process access address status focus canvas redis kubernetes css js https dns aws ios
    macos https progress analysis axis basis bus bonus alias bias chaos corpus https os gas lens series species news
    rails jenkins windows pandas keras less sass cross press loss pass compress express express wordpress previous
    various numpys series async always whats postgres devtools devops gitops centos macos ipados tvos watchos steamos
    btrfs rubygems nodejs nextjs vuejs reactjs phantomjs""".split()
)
SHORT = dict(
    pair.split(":")
    for pair in """authentication:auth authenticate:auth authorization:authz configuration:config configurations:config
    configure:config database:db databases:db dependency:dep dependencies:deps repository:repo repositories:repo
    environment:env environments:env accessibility:a11y internationalization:i18n documentation:docs
    parameters:params parameter:param arguments:args argument:arg directory:dir directories:dirs
    initialization:init initialise:init initialize:init kubernetes:k8s information:info""".split()
)

# Verbs that end in a hard c take a k before an ending.
_HARD = frozenset("frolick mimick panick picnick traffick".split())


def plain(word: str) -> str:
    """The singular of an English noun or the bare form of a verb's third person; other words as they are."""
    if word in _SINGULAR or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word[:-2] in _SINGULAR and word.endswith("es"):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes", "tzes")) and word not in ("caches", "niches"):
        return word[:-2]
    return word[:-1]


def is_number(word: str) -> bool:
    """Whether a word is a number, or the first part of a version: 4, v1."""
    return word.removeprefix("v").isdigit()


@lru_cache(maxsize=8192)  # a beam asks for the same few thousands of times
def stem(word: str) -> str:
    """What the forms of an English word share, roughly: crashes, crashed, crashing -> crash. Only to compare with."""
    word = SHORT.get(word, word)
    for end, put in _ENDINGS:
        if word.endswith(end) and len(word) - len(end) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(end)] + put
            break
    if word in _HARD:
        return word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word


_ENDINGS = (
    ("ies", "y"), ("sses", "ss"), ("izations", "iz"), ("ization", "iz"), ("ations", ""), ("ation", ""), ("ments", ""),
    ("ment", ""), ("ions", ""), ("ion", ""), ("ings", ""), ("ing", ""), ("ers", ""), ("er", ""), ("ors", ""),
    ("or", ""), ("ed", ""), ("es", ""), ("s", ""), ("able", ""), ("ible", ""), ("ally", ""), ("ly", ""), ("als", ""),
    ("al", ""), ("e", ""), ("y", ""),
)  # fmt: skip


def forms(word: str) -> list[str]:
    """The word and what it may be cut to in a name: its abbreviation, its singular, the bare form of a verb."""
    out = [word, plain(word)]
    if short := SHORT.get(word) or SHORT.get(out[1]):
        out.append(short)
    for end in ("ing", "ed"):
        bare = word[: -len(end)]
        if word.endswith(end) and bare in _HARD:
            out.append(bare[:-1])
        elif word.endswith(end) and len(bare) >= 3 and re.search("[aeiouy]", bare):
            out.append(bare[:-1] if bare[-1] == bare[-2] and bare[-1] not in "ls" else bare)
            out.append(bare + "e")
    return list(dict.fromkeys(out))


class Words(NamedTuple):
    """Words that names use: `kin` by stem, and `free` ones, which may stand in a name though the prompt lacks them."""

    kin: dict[str, list[str]]
    free: list[str]


def read_words(text: str) -> Words:
    """Words from the text of words.txt: the free ones on its first line, then a stem and its words on each."""
    free, *rest = text.splitlines()
    rows = (line.split() for line in rest)
    return Words({row[0]: row[1:] for row in rows}, free.split())
