# wtname in fish: wtn makes a worktree and goes there, wts switches, wtrm removes.

# The builtin, for cd may be a function of the user's; with the history that fish's own cd keeps for cd - and prevd.
function __wtname_cd
    set -l before $PWD
    builtin cd -- $argv[1]
    or return
    if test $PWD != $before
        set -q dirprev[25]
        and set -e dirprev[1]
        set -U -q dirprev
        and set -U -a dirprev $before
        or set -g -a dirprev $before
        set -e dirnext
        set -U -q __fish_cd_direction
        and set -U __fish_cd_direction prev
        or set -g __fish_cd_direction prev
    end
    return 0
end

function __wtname_go
    for arg in $argv
        switch $arg
            case --
                break
            case -h --help --json --dry-run
                command wtname $argv
                return
        end
    end
    # read, since a command substitution has not the input of the function; and a path may hold line breaks.
    command wtname $argv | read --null --local --list --delimiter \n lines
    set -l code $pipestatus[1]
    set -l dir $lines[1]
    for line in $lines[2..-2]
        set dir $dir\n$line
    end
    if test $code -ne 0
        test -z "$dir"
        or printf '%s\n' $dir
        return $code
    end
    __wtname_cd $dir
end

function wtn --description 'Make a worktree for a task and go there'
    __wtname_go new $argv
end

function wts --description 'Go to the worktree that is meant'
    __wtname_go switch $argv
end

function wtrm --description 'Remove worktrees; from one that is gone, go to the main worktree'
    set -l home (command git worktree list --porcelain 2>/dev/null)[1] # the main one
    set home (string replace 'worktree ' '' -- "$home")
    command wtname remove $argv
    set -l code $status
    if not test -d "$PWD"; and test -d "$home"
        __wtname_cd "$home"
    end
    return $code
end

function __wtname_complete --argument-names name subcommand
    set -l word (commandline --current-token --cut-at-cursor)
    set -l line (commandline --current-process --cut-at-cursor | string join ' ')
    set line (string replace --regex -- '^(?:.*?\s)?(?:\S*/)?'$name'(?=\s)' "wtname $subcommand" "$line")
    set -l reply (command env PYTHONIOENCODING=utf-8 COMP_WORDS="$line" COMP_CWORD="$word" \
        _WTNAME_COMPLETE=fish_complete wtname 2>/dev/null)
    set -l option (string match --regex -- '^--[a-z-]+=' "$word")
    string replace --filter --regex -- '^plain,' "$option" $reply
    if string match --quiet -- 'dir,*' $reply
        __fish_complete_directories "$word"
    else if string match --quiet -- 'file,*' $reply
        __fish_complete_path "$word"
    end
end

complete --command wtname --no-files --arguments '(__wtname_complete wtname "")'
complete --command wtn --no-files --arguments '(__wtname_complete wtn new)'
complete --command wts --no-files --arguments '(__wtname_complete wts switch)'
complete --command wtrm --no-files --arguments '(__wtname_complete wtrm remove)'
