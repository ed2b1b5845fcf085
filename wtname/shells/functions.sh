# wtname in bash and zsh: wtn makes a worktree and goes there, wts switches, wtrm removes.
\unalias wtn wts wtrm 2>/dev/null || \:

_wtname_go() {
    local arg dir code=0
    for arg in "$@"; do
        case $arg in
        --) break ;;
        -h | --help | --json | --dry-run)
            \command wtname "$@"
            return
            ;;
        esac
    done
    # The x keeps a line break that a path ends with.
    dir=$(\command wtname "$@" && \builtin printf x) || code=$?
    if [ "$code" -ne 0 ]; then
        [ -z "$dir" ] || \builtin printf '%s\n' "$dir"
        return "$code"
    fi
    dir=${dir%x}
    \builtin cd -- "${dir%$'\n'}"
}

function wtn {
    _wtname_go new "$@"
}

function wts {
    _wtname_go switch "$@"
}

function wtrm {
    local home code=0
    home=$(\command git worktree list --porcelain 2>/dev/null) || home=
    home=${home%%$'\n'*} # the first is the main one
    home=${home#worktree }
    \command wtname remove "$@" || code=$?
    if [ ! . -ef "$PWD" ] && [ -d "$home" ]; then
        \builtin cd -- "$home" || \:
    fi
    return "$code"
}
