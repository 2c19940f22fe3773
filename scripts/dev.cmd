@echo off
rem The same as dev.ps1, for cmd.exe and for systems whose policy refuses unsigned scripts.
rem The full path: cmd.exe would otherwise look for powershell.exe in the caller's directory first.
"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe" -NoLogo -NoProfile -ExecutionPolicy Bypass -File "%~dp0dev.ps1" %*
exit /b %ERRORLEVEL%
