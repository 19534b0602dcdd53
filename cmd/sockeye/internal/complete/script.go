package complete

import "fmt"

// Shells are those that Script knows.
var Shells = []string{"bash", "zsh", "fish", "powershell"}

// Command is the hidden command that a script runs: "sockeye __complete WORD…". It prints a line for each candidate, the
// text, a tab and what it means, and the line ":files" if the name of a file would do, too.
const Command = "__complete"

// Script returns what a shell has to be told. It is made for the name "sockeye" in the PATH.
func Script(shell string) (string, error) {
	switch shell {
	case "bash":
		return bash, nil
	case "zsh":
		return zsh, nil
	case "fish":
		return fish, nil
	case "powershell":
		return powershell, nil
	}
	return "", fmt.Errorf("there is no completion for %s", shell)
}

const bash = `# Completion of sockeye for bash. In ~/.bashrc:  source <(sockeye completion bash)
_sockeye() {
    local line cur="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=()
    [[ $cur == "=" ]] && cur=""
    while IFS= read -r line; do
        if [[ $line == ":files" ]]; then
            compopt -o default 2>/dev/null
            continue
        fi
        COMPREPLY+=("${line%%$'\t'*}")
    done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    # A word that ends in = or , goes on.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=,] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _sockeye sockeye
`

const zsh = `#compdef sockeye
# Completion of sockeye for zsh. In ~/.zshrc, after compinit:  source <(sockeye completion zsh)
_sockeye() {
    local line files=0
    local -a found
    while IFS= read -r line; do
        if [[ $line == ":files" ]]; then
            files=1
            continue
        fi
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( ${#found} )) && _describe 'sockeye' found
    (( files )) && _files
    return 0
}
if [[ $funcstack[1] == "_sockeye" ]]; then
    _sockeye "$@"
else
    compdef _sockeye sockeye
fi
`

const fish = `# Completion of sockeye for fish. In ~/.config/fish/config.fish:  sockeye completion fish | source
function __sockeye_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c sockeye -f -a '(__sockeye_complete)'
`

const powershell = `# Completion of sockeye for PowerShell. In $PROFILE:  sockeye completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName sockeye -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition } | ForEach-Object { $_.Extent.Text })
    $typed = @($words | Select-Object -Skip 1)
    if ($wordToComplete -eq '') { $typed += '""' }
    & $words[0] __complete @typed 2>$null | Where-Object { $_ -ne ':files' } | ForEach-Object {
        $text, $help = $_ -split "` + "`t" + `", 2
        if (-not $help) { $help = $text }
        [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $help)
    }
}
`
