
_wtname_complete() {
    local line=${COMP_LINE:0:COMP_POINT} bit=${COMP_WORDS[COMP_CWORD]} i=$COMP_CWORD
    local before item kept quote reply value word
    COMPREPLY=()
    while [[ -n $bit && $line != *"$bit" ]]; do # what is right of the cursor
        bit=${bit%?}
    done
    # Readline takes words apart at COMP_WORDBREAKS, such as --base=x and feat@2; the line has them whole.
    word=$bit
    while ((i > 1)) && [[ ${line%"$word"} != *[[:space:]] ]]; do
        before=${COMP_WORDS[i - 1]}
        [[ $line == *"$before$word" ]] || break
        word=$before$word
        ((i -= 1))
    done
    [[ $bit == [\"\']* ]] && quote=${bit:0:1} || quote=""
    [[ $word == *"$quote$2" ]] && kept=${word%"$quote$2"} || kept=""
    [[ $kept != --*=* ]] || kept=${kept#--*=}
    line=${line#*"${COMP_WORDS[0]}"}
    case ${1##*/} in
    wtn) line="wtname new$line" ;;
    wts) line="wtname switch$line" ;;
    wtrm) line="wtname remove$line" ;;
    *) line="wtname$line" ;;
    esac
    # The request of click's that takes the line as it is.
    reply=$(\command env PYTHONIOENCODING=utf-8 COMP_WORDS="$line" COMP_CWORD="$word" \
        _WTNAME_COMPLETE=fish_complete wtname 2>/dev/null) || return 0
    while IFS= read -r item; do
        item=${item%$'\r'} # from a Windows program
        value=${item#*,}
        value=${value%%$'\t'*}
        case $item in
        dir,*) \compopt -o dirnames 2>/dev/null ;;
        file,*) \compopt -o default 2>/dev/null ;;
        plain,*)
            [[ $value == "$kept"* ]] || continue
            value=${value#"$kept"}
            # A name may hold $(...): it is quoted, or left out where quotes are open that do not hold it.
            if [[ -n $quote ]]; then
                [[ $value != *[\"\'\\\$\`!]* ]] || continue
            elif [[ $value == *[!A-Za-z0-9_./-]* ]]; then
                \builtin printf -v value %q "$value"
            fi
            COMPREPLY+=("$value")
            ;;
        esac
    done <<<"$reply"
    return 0
}

\complete -o nosort -F _wtname_complete wtname wtn wts wtrm 2>/dev/null ||
    \complete -F _wtname_complete wtname wtn wts wtrm 2>/dev/null || \:
