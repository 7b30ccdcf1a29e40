# The daemon under systemd. Sourced inside the small Debian.

# An account with two messages, its password as a credential of the daemon.
one_account() {
    password work first
    deliver work 1 2
    account work | config "$@"
    drop_in mailferry.service <<<$'[Service]\nLoadCredential=work:/etc/mailferry/credentials/work'
}

# What the daemon wrote to the journal has arrived there: journal_has WORD [journalctl's arguments...]
journal_has() {
    local word=$1
    shift
    journalctl --sync
    journalctl --no-pager --output cat --since "$(cat /tmp/check.began)" "$@" | grep -F -- "$word"
}

# The user that a service runs as, with what it needs to find its daemon.
as_mailferry() { runuser -u mailferry -- env MAILFERRY_CONFIG=/etc/mailferry/config.toml "$@"; }

check_daemon_fetches_on_its_own() {
    one_account
    systemctl enable --now mailferry
    is mailferry.service ActiveState active
    wait_until 20 same work "$mail/work"
    # Again with a password from a program, under the daemon's rules.
    set_password qq 'from-a-command'
    deliver qq 1 3
    { account work; account qq 'password_command = ["sh", "-c", "echo from-a-command | cat"]'; } | config
    systemctl reload mailferry
    wait_until 20 same qq "$mail/qq"
    systemctl disable --now mailferry
}

check_daemon_is_active_only_when_it_is_ready() {
    one_account
    # Type=notify waits for the daemon's own word, and not for its process.
    drop_in mailferry.service <<<$'[Service]\nExecStart=\nExecStart=sh -c "sleep 3; exec mailferry daemon"'
    systemctl start --no-block mailferry
    wait_until 2 is mailferry.service ActiveState activating
    sleep 1
    is mailferry.service ActiveState activating
    wait_until 10 is mailferry.service ActiveState active
}

check_daemon_has_a_status_line() {
    one_account
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    property mailferry.service StatusText | grep account
    systemctl status --no-pager mailferry | grep 'Status: ".*account'
}

check_daemon_has_the_limits_it_wants() {
    one_account
    # More open files than systemd gives at first, and no core dump with a password in it: its filters let it do both.
    drop_in mailferry.service <<<$'[Service]\nLimitNOFILE=512:2048\nLimitCORE=infinity'
    systemctl start mailferry
    local limits
    limits=/proc/$(property mailferry.service MainPID)/limits
    grep -E '^Max open files +2048 +2048 ' "$limits"
    grep -E '^Max core file size +0 +0 ' "$limits"
    is mailferry.service NRestarts 0
}

check_daemon_that_is_terminated_by_hand_has_not_failed() {
    one_account
    drop_in mailferry.service <<<$'[Service]\nRestartSec=1s'
    local signal
    for signal in TERM INT; do
        systemctl start mailferry
        wait_until 20 same work "$mail/work"
        systemctl kill --kill-whom=main --signal="$signal" mailferry
        wait_until 10 is mailferry.service ActiveState inactive
        sleep 2
        is mailferry.service ActiveState inactive
        is mailferry.service Result success
    done
}

check_daemon_reloads() {
    one_account
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    local pid
    pid=$(property mailferry.service MainPID)
    set_password second inline
    deliver second 1 3
    { account work; account second 'password = "inline"'; } | config
    systemctl reload mailferry
    wait_until 20 same second "$mail/second"
    wait_until 5 is mailferry.service ActiveState active
    is mailferry.service MainPID "$pid"
    is mailferry.service NRestarts 0
}

check_daemon_keeps_running_when_a_reload_is_wrong() {
    one_account
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    local pid
    pid=$(property mailferry.service MainPID)
    echo 'intervall = "5m"' >>/etc/mailferry/config.toml
    fails systemctl reload mailferry
    wait_until 5 journal_has 'did you mean' -u mailferry
    wait_until 5 is mailferry.service ActiveState active
    is mailferry.service MainPID "$pid"
    deliver work 3 4
    systemctl kill --kill-whom=main --signal=USR1 mailferry
    wait_until 20 same work "$mail/work"
}

check_daemon_with_notify_reload() {
    (($(systemctl --version | awk 'NR == 1 { print $2 }') >= 253)) || skip 'this systemd has no Type=notify-reload'
    one_account
    install -m 644 -D /project/systemd/drop-in/notify-reload.conf -t /etc/systemd/system/mailferry.service.d/
    install -m 644 -D /project/systemd/drop-in/growing-restart.conf -t /etc/systemd/system/mailferry.service.d/
    systemctl daemon-reload
    systemctl start mailferry
    is mailferry.service Type notify-reload
    is mailferry.service RestartSteps 8
    wait_until 20 same work "$mail/work"
    set_password second inline
    deliver second 1 3
    { account work; account second 'password = "inline"'; } | config
    systemctl reload mailferry
    # The reload has returned, so the new configuration is in use.
    property mailferry.service StatusText | grep '^2 accounts'
    wait_until 20 same second "$mail/second"
    # Also when it is wrong, the reload ends.
    echo 'intervall = "5m"' >>/etc/mailferry/config.toml
    timeout 20 systemctl reload mailferry || true
    is mailferry.service ActiveState active
}

check_daemon_stops_in_order_and_goes_on() {
    password work first
    deliver work 1 20000
    account work | config
    drop_in mailferry.service <<<$'[Service]\nLoadCredential=work:/etc/mailferry/credentials/work'
    systemctl start mailferry
    wait_until 60 more_than 50 "$mail/work"
    systemctl stop mailferry
    is mailferry.service ActiveState inactive
    is mailferry.service Result success
    local before
    before=$(count "$mail/work")
    echo "stopped after $before of 20000"
    ((before < 20000)) || skip "it was done before it could be stopped"
    # What was under way is in new/ or was never asked for.
    [[ $(find "$mail/work/tmp" -type f | wc -l) == 0 ]]
    [[ ! -e /run/mailferry/control.sock ]]
    systemctl start mailferry
    wait_until 60 same work "$mail/work"
    systemctl restart mailferry
    sleep 2
    same work "$mail/work"
}

check_daemon_goes_on_after_a_kill() {
    password work first
    deliver work 1 20000
    account work | config
    drop_in mailferry.service <<<$'[Service]\nRestartSec=1s\nLoadCredential=work:/etc/mailferry/credentials/work'
    systemctl start mailferry
    wait_until 60 more_than 50 "$mail/work"
    systemctl kill --kill-whom=main --signal=KILL mailferry
    wait_until 10 is mailferry.service NRestarts 1
    wait_until 60 same work "$mail/work"
    is mailferry.service ActiveState active
}

check_daemon_that_hangs_is_killed_and_started_again() {
    one_account
    drop_in mailferry.service <<<$'[Service]\nWatchdogSec=4s\nTimeoutAbortSec=2s\nRestartSec=1s'
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    # As long as its work goes on, nothing happens.
    sleep 9
    is mailferry.service NRestarts 0
    local pid
    pid=$(property mailferry.service MainPID)
    kill -STOP "$pid"
    wait_until 20 is mailferry.service NRestarts 1
    wait_until 10 is mailferry.service ActiveState active
    [[ $(property mailferry.service MainPID) != "$pid" ]]
    wait_until 5 journal_has 'Watchdog timeout' -u mailferry
    deliver work 3 4
    systemctl kill --kill-whom=main --signal=USR1 mailferry
    wait_until 20 same work "$mail/work"
}

check_daemon_with_a_wrong_configuration_is_not_started_again() {
    one_account 'intervall = "5m"'
    drop_in mailferry.service <<<$'[Service]\nRestartSec=1s'
    fails systemctl start mailferry
    sleep 4
    is mailferry.service ActiveState failed
    is mailferry.service Result exit-code
    is mailferry.service ExecMainStatus 78
    is mailferry.service NRestarts 0
    wait_until 5 journal_has 'did you mean `interval`' -u mailferry
    # Corrected, it starts without further ado.
    account work | config
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
}

check_daemon_without_a_configuration_is_not_started_again() {
    drop_in mailferry.service <<<$'[Service]\nRestartSec=1s'
    fails systemctl start mailferry
    sleep 4
    is mailferry.service ExecMainStatus 78
    is mailferry.service NRestarts 0
}

check_daemon_with_a_wrong_command_line_is_not_started_again() {
    one_account
    drop_in mailferry.service <<<$'[Service]\nRestartSec=1s\nExecStart=\nExecStart=mailferry daemon --hurry'
    fails systemctl start mailferry
    sleep 4
    is mailferry.service ExecMainStatus 64
    is mailferry.service NRestarts 0
}

check_daemon_whose_credential_is_not_there() {
    account work | config
    systemctl start mailferry
    wait_until 10 journal_has 'credential' -u mailferry
    is mailferry.service ActiveState active
}

check_daemon_whose_credential_has_no_file() {
    one_account
    drop_in mailferry.service <<<$'[Service]\nRestartSec=1s'
    mv /etc/mailferry/credentials/work /etc/mailferry/credentials/elsewhere
    fails systemctl start mailferry
    wait_until 5 journal_has 'status=243/CREDENTIALS' -u mailferry
    mv /etc/mailferry/credentials/elsewhere /etc/mailferry/credentials/work
    wait_until 20 is mailferry.service ActiveState active
    wait_until 20 same work "$mail/work"
}

check_daemon_reads_a_changed_credential_after_a_restart() {
    one_account
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    password work second
    deliver work 3 4
    systemctl reload mailferry
    systemctl kill --kill-whom=main --signal=USR1 mailferry
    wait_until 10 journal_has 'refused' ACCOUNT=work
    fails same work "$mail/work"
    systemctl restart mailferry
    wait_until 20 same work "$mail/work"
}

check_daemon_writes_fields_to_the_journal() {
    one_account
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    wait_until 10 journal_has '2 new messages' ACCOUNT=work
    journal_has '2 new messages' HOST=pop.example.test
    journal_has '2 new messages' EVENT=polled
    journalctl --no-pager -o json -n 1 ACCOUNT=work | grep '"_SYSTEMD_UNIT":"mailferry.service"'
    # Lines of other accounts are not among them.
    [[ -z $(journalctl --no-pager -o cat ACCOUNT=nobody | grep -v 'No entries' || true) ]]
    # Nothing that names the password.
    journalctl --no-pager -o json -u mailferry | grep . >/tmp/journal.json
    fails grep '"[^"]*first' /tmp/journal.json
}

check_daemon_polls_when_it_is_asked() {
    one_account
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    deliver work 3 4
    systemctl kill --kill-whom=main --signal=USR1 mailferry
    wait_until 20 same work "$mail/work"
    # And by the control socket: root, and the daemon's own user; nobody else.
    [[ $(stat -c '%U %a' /run/mailferry/control.sock) == 'mailferry 600' ]]
    deliver work 5 6
    as_mailferry mailferry poll
    wait_until 20 same work "$mail/work"
    deliver work 7 8
    (cd / && mailferry --config /etc/mailferry/config.toml poll)
    wait_until 20 same work "$mail/work"
    (cd / && mailferry status | grep work)
    fails runuser -u jo -- mailferry --config /etc/mailferry/config.toml status
}

check_daemon_is_alone_with_its_state() {
    one_account
    systemctl start mailferry
    local status=0
    as_mailferry mailferry --state-dir /var/lib/mailferry daemon || status=$?
    [[ $status == 75 ]]
    is mailferry.service ActiveState active
}

check_daemon_and_fetch_remember_the_same() {
    one_account
    systemctl start mailferry
    wait_until 20 same work "$mail/work"
    systemctl stop mailferry
    drop_in mailferry-fetch.service <<<$'[Service]\nLoadCredential=work:/etc/mailferry/credentials/work'
    deliver work 3 4
    systemctl start mailferry-fetch
    same work "$mail/work"
    # And one by hand.
    account work 'password = "first"' | config
    deliver work 5 6
    (cd / && as_mailferry mailferry fetch)
    same work "$mail/work"
}

check_daemon_starts_again_without_end() {
    one_account
    drop_in mailferry.service <<<$'[Service]\nRestartSec=1s'
    # Something in the way of the state, as a disk that is not usable.
    install -d /var/lib/mailferry/.daemon.lock
    fails systemctl start mailferry
    wait_until 30 bash -c '(($(systemctl show -P NRestarts mailferry) > 5))'
    wait_until 5 journal_has 'status=73' -u mailferry
    rmdir /var/lib/mailferry/.daemon.lock
    wait_until 20 is mailferry.service ActiveState active
    wait_until 20 same work "$mail/work"
}
