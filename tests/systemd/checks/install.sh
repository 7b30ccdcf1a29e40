# The installation, by the commands that systemd/README.md gives. Sourced inside the small Debian.

# The commands of the first block below a heading of the README: told HEADING
told() {
    awk -v heading="## $1" '
        $0 == heading { below = 1; next }
        below && /^## / { exit }
        below && /^```/ { if (inside) exit; inside = 1; next }
        inside { print }
    ' /project/systemd/README.md
}

install_as_told() {
    local commands
    commands=$(told 'This machine')
    [[ -n $commands ]]
    cd /project
    bash -eux -c "$commands"
    # Also those that are for some users only.
    install -m 644 systemd/mailferry@.service /etc/systemd/system/
    systemctl daemon-reload
    rm /etc/mailferry/config.toml # each check brings its own
    useradd --create-home jo
    useradd --create-home alex
}

# What systemd-analyze has to say of units, which must be nothing: it ends with 0 even where it does not know a setting.
# says_nothing COMMAND...
says_nothing() {
    "$@" >/tmp/said 2>&1
    cat /tmp/said
    [[ ! -s /tmp/said ]]
}

# tests/it/units.rs asks this machine's systemd the same; here it is the one that the Debian has.
check_systemd_has_nothing_to_say() {
    local version unit drop_in since
    version=$(systemctl --version | awk 'NR == 1 { print $2 }')
    for unit in mailferry.service mailferry@jo.service mailferry-fetch.service mailferry-fetch.timer; do
        says_nothing systemd-analyze verify --man=no "$unit"
    done
    for unit in /project/systemd/user/*; do
        says_nothing env XDG_RUNTIME_DIR=/run systemd-analyze --user verify --man=no "$unit"
    done
    for drop_in in credentials:0 maildirs-elsewhere:0 notify-reload:253 growing-restart:254; do
        since=${drop_in#*:}
        ((version >= since)) || continue
        install -m 644 -D "/project/systemd/drop-in/${drop_in%:*}.conf" -t /etc/systemd/system/mailferry.service.d/
    done
    systemctl daemon-reload
    says_nothing systemd-analyze verify --man=no mailferry.service
    for unit in mailferry.service mailferry-fetch.service mailferry@jo.service; do
        systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" | tail -n 1
    done
}
