# wtname in PowerShell: wtn makes a worktree and goes there, wts switches, wtrm removes.

function global:_wtname_program {
    Get-Command -Name wtname -CommandType Application -TotalCount 1 -ErrorAction Stop
}

# Runs a script block while Python writes, and PowerShell reads, UTF-8.
function global:_wtname_utf8 {
    param([scriptblock] $Work)
    $ErrorActionPreference = 'Continue' # else 2>$null stops in Windows PowerShell
    $encoding = [Console]::OutputEncoding
    $pythons = $env:PYTHONIOENCODING
    try {
        [Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
        $env:PYTHONIOENCODING = 'utf-8'
        & $Work
    } finally {
        $env:PYTHONIOENCODING = $pythons
        [Console]::OutputEncoding = $encoding
    }
}

function global:_wtname_go {
    param([string] $Subcommand, [object[]] $Words)
    $program = _wtname_program
    foreach ($word in $Words) {
        if ($word -ceq '--') { break }
        if ($word -in '-h', '--help', '--json', '--dry-run') {
            & $program $Subcommand @Words
            return
        }
    }
    $lines = @(_wtname_utf8 { & $program $Subcommand @Words })
    $folder = $lines -join "`n"
    if ($LASTEXITCODE -eq 0) {
        Set-Location -LiteralPath $folder
    } elseif ($folder) {
        $folder
    }
}

function global:wtn { _wtname_go 'new' $args }

function global:wts { _wtname_go 'switch' $args }

function global:wtrm {
    $program = _wtname_program
    $git = Get-Command -Name git -CommandType Application -TotalCount 1 -ErrorAction Stop
    $told = @(_wtname_utf8 { & $git worktree list --porcelain 2>$null })
    $main = if ($told) { $told[0] -replace '^worktree ' } # the first is the main one
    & $program remove @args
    if (-not (Test-Path -LiteralPath $PWD.ProviderPath) -and $main -and (Test-Path -LiteralPath $main)) {
        Set-Location -LiteralPath $main
    }
}

Register-ArgumentCompleter -Native -CommandName 'wtname', 'wtn', 'wts', 'wtrm' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $program = Get-Command -Name wtname -CommandType Application -TotalCount 1 -ErrorAction SilentlyContinue
    if (-not $program) { return }
    $words = @('wtname')
    switch ($commandAst.GetCommandName()) {
        'wtn' { $words += 'new' }
        'wts' { $words += 'switch' }
        'wtrm' { $words += 'remove' }
    }
    # What is right of the name: "& wtname" has something to the left, too.
    $rest = $commandAst.CommandElements[0].Extent.EndOffset - $commandAst.Extent.StartOffset
    $count = $commandAst.CommandElements.Count + $words.Count - 1
    if ($wordToComplete) { $count -= 1 }
    $asked = @{
        # The request of click's that PowerShell's is a copy of, and that older ones have.
        '_WTNAME_COMPLETE' = 'zsh_complete'
        'COMP_WORDS' = ($words -join ' ') + $commandAst.ToString().Substring($rest)
        'COMP_CWORD' = [string] $count
    }
    $before = @{}
    foreach ($key in $asked.Keys) {
        $before[$key] = [Environment]::GetEnvironmentVariable($key)
        [Environment]::SetEnvironmentVariable($key, $asked[$key])
    }
    try {
        $reply = @(_wtname_utf8 { & $program 2>$null })
    } finally {
        foreach ($key in $before.Keys) { [Environment]::SetEnvironmentVariable($key, $before[$key]) }
    }
    $option = if ($wordToComplete -match '^--[a-z-]+=') { $Matches[0] } else { '' }
    for ($i = 0; $i + 2 -lt $reply.Count; $i += 3) {
        $kind, $value, $help = $reply[$i..($i + 2)]
        if ($kind -ne 'plain') { continue } # PowerShell completes paths by itself
        # A name may hold $(...): what is more than a plain word is quoted.
        $text = if ($value -match '^[\w./-]+$') { $value } else { "'" + $value.Replace("'", "''") + "'" }
        $tip = if ($help -and $help -ne '_') { $help } else { $value }
        [System.Management.Automation.CompletionResult]::new($option + $text, $value, 'ParameterValue', $tip)
    }
}
