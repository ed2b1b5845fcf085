
_wtname() {
    local word=$QIPREFIX$PREFIX kind value help ret=1
    local -a head reply plain told
    head=("${(@)words[1,CURRENT-1]}")
    case $service in
    wtn) head[1]=(wtname new) ;;
    wts) head[1]=(wtname switch) ;;
    wtrm) head[1]=(wtname remove) ;;
    *) head[1]=wtname ;;
    esac
    reply=("${(@f)$(\command env PYTHONIOENCODING=utf-8 COMP_WORDS="${(j: :)head} $word" COMP_CWORD=$#head \
        _WTNAME_COMPLETE=zsh_complete wtname 2>/dev/null)}")
    [[ $PREFIX != --*=* ]] || compset -P '--[a-z-]##='
    for kind value help in "${reply[@]}"; do
        case $kind in
        plain) if [[ $help == _ ]]; then plain+=("$value"); else told+=("$value:$help"); fi ;;
        dir) _path_files -/ && ret=0 ;;
        file) _path_files && ret=0 ;;
        esac
    done
    (( ! $#told )) || { _describe -V wtname told && ret=0 }
    (( ! $#plain )) || { compadd -V wtname -a plain && ret=0 }
    return $ret
}

if (( ${+functions[compdef]} )); then
    compdef _wtname wtname wtn wts wtrm
fi
