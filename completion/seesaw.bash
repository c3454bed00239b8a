# bash completion for seesaw. The options come from `seesaw COMMAND --help`, so that they cannot be out of date.
_seesaw()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} program=${COMP_WORDS[0]}
    local help words
    COMPREPLY=()
    case $previous in
    -m | --model | --prompts | --plan | --junit | --into | --api-key-file | --logits-in | --logits-out | --against | --index)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    -ctk | -ctv | --cache-type-k | --cache-type-v)
        mapfile -t COMPREPLY < <(compgen -W "f16 q8_0" -- "$current")
        return
        ;;
    -o | --out | --resume | --collect)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        help=$("$program" --help 2>/dev/null)
        words=$(sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' <<<"$help")
        [[ $current == -* ]] && words=$(grep -oE -- '--[a-z][a-z0-9-]*' <<<"$help")
    elif [[ $current == -* ]]; then
        help=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null)
        words=$(grep -E '^ {2,6}-' <<<"$help" | grep -oE -- '--[a-z][a-z0-9-]*')
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o filenames -F _seesaw seesaw
