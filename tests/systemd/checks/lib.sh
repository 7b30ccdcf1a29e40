# What the checks are made of. Sourced inside the small Debian.

# Waits until a command succeeds: wait_until SECONDS COMMAND...
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= end)); then
            echo "in vain: $*"
            "$@"
            return 1
        fi
        sleep 0.1
    done
}

# A command must fail, which `!` alone does not see to: fails COMMAND...
fails() {
    if "$@"; then
        echo "it should have failed: $*"
        return 1
    fi
}

# A property of a unit: property UNIT NAME
property() { systemctl show -P "$2" "$1"; }

# It must have a value: is UNIT NAME VALUE
is() { [[ $(property "$1" "$2") == "$3" ]]; }

# An account of the server here: account NAME [LINE...]. Without a line about a password it is the credential NAME.
account() {
    local name=$1
    shift
    printf '\n[accounts.%s]\nhost = "pop.example.test"\nusername = "%s"\n' "$name" "$name"
    printf '%s\n' "$@"
    [[ "$*" == *password* ]] || printf 'password_credential = "%s"\n' "$name"
}

# The system service's configuration: [defaults], then what comes in: config [LINE...]
config() {
    install -d /etc/mailferry
    { printf '[defaults]\nmaildir = "~/Mail/{account}"\ninterval = "1h"\n'; printf '%s\n' "$@"; cat; } \
        >/etc/mailferry/config.toml
    chgrp mailferry /etc/mailferry/config.toml
    chmod 640 /etc/mailferry/config.toml
}

# A user's configuration, from standard input: user_config USER
user_config() {
    local home
    home=$(getent passwd "$1" | cut -d: -f6)
    runuser -u "$1" -- sh -c 'umask 077; mkdir -p ~/.config/mailferry; cat >~/.config/mailferry/config.toml'
    echo "$home"
}

# A drop-in for a unit, from standard input: drop_in UNIT
drop_in() {
    mkdir -p "/etc/systemd/system/$1.d"
    drop_ins=$((drop_ins + 1))
    cat >"/etc/systemd/system/$1.d/check-$drop_ins.conf"
    systemctl daemon-reload
}
drop_ins=0

# A password on the server, and the file of its credential: password USER WORD
password() {
    set_password "$1" "$2"
    install -d -m 700 /etc/mailferry/credentials
    (umask 077; echo "$2" >"/etc/mailferry/credentials/$1")
}

# The messages below directories, as sorted digests.
digests() {
    find "$@" -type f \( -path '*/new/*' -o -path '*/cur/*' \) -exec sha256sum {} + | cut -d ' ' -f 1 | sort
}

# A maildrop and a Maildir must hold the same messages, each of them once: same USER MAILDIR
same() {
    [[ -d $2/new ]] && diff <(digests "/srv/pop3/$1") <(digests "$2")
}

# How many messages a Maildir holds.
count() { find "$1" -type f \( -path '*/new/*' -o -path '*/cur/*' \) | wc -l; }

# At least so many: more_than NUMBER MAILDIR
more_than() { [[ -d $2 && $(count "$2") -gt $1 ]]; }

# Everything as it is after the installation: no unit runs, no configuration, no mail, nothing remembered.
fresh() {
    systemctl stop 'mailferry*.timer' 'mailferry*.service' 2>/dev/null || true
    systemctl reset-failed
    rm -rf /etc/systemd/system/mailferry*.d /etc/mailferry /var/lib/mailferry /srv/mail
    systemctl daemon-reload
    systemd-tmpfiles --create 2>/dev/null || true
    install -d /etc/mailferry
    empty_server
    mail='/var/lib/mailferry/Mail'
}

# Runs every function check_... whose name contains one of the words given, each in a shell of its own.
run_checks() {
    local name word wanted status failed=0 passed=0 skipped=0 log=/tmp/check.log
    for name in $(declare -F | awk '{ print $3 }' | grep '^check_'); do
        wanted=$(($# == 0))
        for word in "$@"; do [[ $name == *"$word"* ]] && wanted=1; done
        ((wanted)) || continue
        date '+%F %T' >/tmp/check.began
        (set -eux; fresh; "$name") >"$log" 2>&1
        status=$?
        case $status in
            0) echo "ok       ${name#check_}"; passed=$((passed + 1)) ;;
            77) echo "skipped  ${name#check_}: $(tail -n 1 "$log")"; skipped=$((skipped + 1)) ;;
            *)
                echo "FAILED   ${name#check_}"
                failed=$((failed + 1))
                tail -n 30 "$log" | sed 's/^/    /'
                journalctl --no-pager --since "$(cat /tmp/check.began)" --lines 40 | sed 's/^/    journal: /'
                ;;
        esac
    done
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0 && passed + skipped > 0))
}

# Ends a check that cannot be made here, with the reason.
skip() { set +x; echo "$*"; exit 77; }
