# The clone's own entry point on Windows: makes .venv from the pinned requirements when needed, then runs the command asked for.
# The same commands as dev.sh. No param() block: every argument goes through as it is.
$ErrorActionPreference = 'Stop'

$usage = @'
usage: .\scripts\dev.ps1                   all checks: format, lint, types, imports, tests, eval smoke
       .\scripts\dev.ps1 run [ARGS]        lg-orch run, on the repository you stand in
       .\scripts\dev.ps1 test [ARGS]       pytest, in this clone
       .\scripts\dev.ps1 check NAME...     some of the checks only
       .\scripts\dev.ps1 precommit         before a commit: format, lint, types, imports, the tests of what was changed
       .\scripts\dev.ps1 orch|gateway|fs|exec [ARGS]
                                           lg-orch, lg-gateway, lg-fs, lg-exec
       .\scripts\dev.ps1 setup             make the environment and stop
LG_PYTHON=C:\path\to\python.exe chooses the interpreter that the environment is made from (3.11 or newer).
'@

function Stop-With([string] $text) {
    [Console]::Error.WriteLine("dev.ps1: $text")
    exit 2
}

foreach ($name in 'PYTHONPATH', 'PYTHONHOME', 'PYTHONSTARTUP') {
    Remove-Item -Path "Env:$name" -ErrorAction SilentlyContinue
}
$root = Split-Path -Parent $PSScriptRoot
$venv = Join-Path $root '.venv'
$bin = Join-Path $venv 'Scripts'
$python = Join-Path $bin 'python.exe'
$askedFor = if ($env:LG_PYTHON) { $env:LG_PYTHON } else { '' }

# Returns the first interpreter that is new enough, as a list: program and leading arguments.
function Find-Python {
    $ErrorActionPreference = 'Continue' # Windows PowerShell takes a redirected error line of a program for an error of its own
    $candidates = @()
    if ($askedFor) { $candidates += , @($askedFor) }
    else {
        $candidates += , @('py.exe', '-3')
        $candidates += , @('python3.exe')
        $candidates += , @('python.exe')
    }
    foreach ($candidate in $candidates) {
        $program = Get-Command -Name $candidate[0] -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
        if (-not $program) { continue }
        $leading = @($candidate | Select-Object -Skip 1)
        & $program.Source @leading -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>&1 | Out-Null
        if ($LASTEXITCODE -eq 0) { return , (@($program.Source) + $leading) }
    }
    if ($askedFor) { Stop-With "LG_PYTHON=$askedFor is not a Python 3.11 or newer" }
    Stop-With 'no Python 3.11 or newer found (tried py -3, python3, python); install one, or set LG_PYTHON'
}

# The environment is current when its stamp names this place, these inputs and (if one was asked for) this interpreter.
function Initialize-Environment {
    $inputs = 'requirements.txt', 'pyproject.toml', 'scripts\bootstrap-requirements.txt', 'scripts\environment.py'
    $hashes = foreach ($name in $inputs) { (Get-FileHash -Algorithm SHA256 -LiteralPath (Join-Path $root $name)).Hash.Substring(0, 16) }
    $wanted = $hashes -join '-'
    $stamp = Join-Path $venv 'lg-stamp'
    $unfinished = Join-Path $venv 'lg-unfinished'
    if ((Test-Path -LiteralPath $python) -and (Test-Path -LiteralPath $stamp) -and -not (Test-Path -LiteralPath $unfinished)) {
        $lines = @(Get-Content -LiteralPath $stamp -Encoding UTF8)
        $chosen = if ($lines.Count -gt 2) { $lines[2] } else { '' }
        if ($lines[0] -eq $root -and $lines[1] -eq $wanted -and (-not $askedFor -or $askedFor -eq $chosen)) { return }
    }
    # The Windows search for programs begins in the current directory: leave the caller's before anything is looked for.
    Push-Location -LiteralPath $PSScriptRoot
    try {
        $base = Find-Python
        $leading = @($base | Select-Object -Skip 1)
        $script = Join-Path $PSScriptRoot 'environment.py'
        $flags = @('--stamp', $wanted)
        if ($askedFor) { $flags += @('--chosen', $askedFor) } # Windows PowerShell drops an empty argument
        & $base[0] @leading -I $script @flags | Out-Host
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    }
    finally { Pop-Location }
}

$command = if ($args.Count -gt 0) { $args[0] } else { 'all' }
$rest = @($args | Select-Object -Skip 1)
$known = 'all', 'check', 'exec', 'fs', 'gateway', 'orch', 'precommit', 'run', 'setup', 'test'
if ($command -in 'help', '-h', '--help') {
    [Console]::Error.WriteLine($usage)
    exit 0
}
if ($command -notin $known) {
    [Console]::Error.WriteLine($usage)
    Stop-With "unknown command: $command"
}
Initialize-Environment

# -P keeps the caller's directory off the module path.
switch ($command) {
    'setup' { exit 0 }
    'run' { & $python -P -m lg_orch run @rest }
    'test' {
        Push-Location -LiteralPath $root
        try { & $python -P -m pytest @rest } finally { Pop-Location }
    }
    { $_ -in 'all', 'check' } {
        Push-Location -LiteralPath $root
        try { & $python -P (Join-Path $PSScriptRoot 'checks.py') @rest } finally { Pop-Location }
    }
    'precommit' {
        Push-Location -LiteralPath $root
        try { & $python -P (Join-Path $PSScriptRoot 'checks.py') --changed @rest } finally { Pop-Location }
    }
    default { & $python -P -m "lg_$command" @rest }
}
exit $LASTEXITCODE
