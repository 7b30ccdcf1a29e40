# The units for users: root's template, and a user's own systemd. Sourced inside the small Debian.

# A user's shell commands, with what a login gives: as_user USER COMMAND...
as_user() {
    local user=$1
    shift
    runuser -u "$user" -- env HOME="/home/$user" XDG_RUNTIME_DIR="/run/user/$(id -u "$user")" \
        sh -c 'cd && exec "$@"' sh "$@"
}

# Nothing of mailferry in a user's home.
fresh_home() {
    as_user "$1" systemctl --user stop 'mailferry*' 2>/dev/null || true
    loginctl disable-linger "$1"
    wait_until 20 is "user@$(id -u "$1").service" ActiveState inactive
    rm -rf "/home/$1/Mail" "/home/$1/.config" "/home/$1/.local"
}

# A user's configuration for the account named like the user.
home_config() {
    set_password "$1" inline
    deliver "$1" 1 2
    { printf '[defaults]\nmaildir = "~/Mail/{account}"\ninterval = "1h"\n'; account "$1" 'password = "inline"'; } |
        user_config "$1"
}

# Starts a user's own systemd by lingering, and installs the units as the README says.
linger() {
    loginctl enable-linger "$1"
    wait_until 20 is "user@$(id -u "$1").service" ActiveState active
    local commands
    commands=$(told 'Yourself, without root' | grep -v 'enable --now')
    (cd /project && runuser -u "$1" -- env HOME="/home/$1" XDG_RUNTIME_DIR="/run/user/$(id -u "$1")" bash -eux -c "$commands")
}

check_user_daemon_with_lingering() {
    fresh_home jo
    home_config jo
    linger jo
    as_user jo systemctl --user enable --now mailferry
    wait_until 20 same jo /home/jo/Mail/jo
    [[ $(stat -c '%U %a' /home/jo/.local/state/mailferry) == 'jo 700' ]]
    as_user jo systemctl --user status --no-pager mailferry | grep 'Status: ".*account'
    # The same state as in jo's terminal, and the same daemon.
    as_user jo mailferry status | grep jo
    deliver jo 3 4
    as_user jo mailferry poll
    wait_until 20 same jo /home/jo/Mail/jo
    as_user jo systemctl --user reload mailferry
    as_user jo systemctl --user is-active mailferry
    as_user jo systemctl --user stop mailferry
    [[ $(as_user jo systemctl --user show -P Result mailferry) == success ]]
    as_user jo mailferry fetch | grep 'nothing new'
    same jo /home/jo/Mail/jo
    # It comes back with the user's systemd, nobody logged in: the boot of a machine.
    deliver jo 5 6
    systemctl restart "user@$(id -u jo).service"
    wait_until 20 same jo /home/jo/Mail/jo
    journalctl --sync
    journalctl --no-pager -o cat ACCOUNT=jo "_UID=$(id -u jo)" | grep .
}

check_user_daemon_with_a_credential_and_a_command() {
    fresh_home jo
    home_config jo
    set_password other geheim
    deliver other 1 2
    set_password third geheim3
    deliver third 1 2
    { printf '[defaults]\nmaildir = "~/Mail/{account}"\ninterval = "1h"\n'; account jo 'password = "inline"'; account other
      account third 'password_command = ["sh", "-c", "cat ~/geheim"]'; } | user_config jo
    as_user jo sh -c 'umask 077; echo geheim3 >~/geheim; echo geheim >~/credential'
    linger jo
    as_user jo mkdir -p /home/jo/.config/systemd/user/mailferry.service.d
    as_user jo sh -c 'printf "[Service]\nLoadCredential=other:%%h/credential\n" >~/.config/systemd/user/mailferry.service.d/c.conf'
    as_user jo systemctl --user daemon-reload
    as_user jo systemctl --user start mailferry
    wait_until 20 same jo /home/jo/Mail/jo
    wait_until 20 same third /home/jo/Mail/third
    wait_until 20 same other /home/jo/Mail/other
}

check_user_daemon_with_a_program_elsewhere() {
    fresh_home jo
    home_config jo
    linger jo
    as_user jo install -D /usr/local/bin/mailferry /home/jo/.cargo/bin/mailferry
    as_user jo mkdir -p /home/jo/.config/systemd/user/mailferry.service.d
    awk '/^```ini/ { inside = 1; next } /^```/ { inside = 0 } inside' /project/systemd/README.md |
        as_user jo sh -c 'cat >~/.config/systemd/user/mailferry.service.d/program.conf'
    as_user jo systemctl --user daemon-reload
    as_user jo systemctl --user start mailferry
    [[ $(readlink "/proc/$(as_user jo systemctl --user show -P MainPID mailferry)/exe") == /home/jo/.cargo/bin/mailferry ]]
    wait_until 20 same jo /home/jo/Mail/jo
}

check_user_timer() {
    fresh_home jo
    home_config jo
    linger jo
    as_user jo mkdir -p /home/jo/.config/systemd/user/mailferry-fetch.timer.d
    printf '[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec=1s\nOnStartupSec=1s\nRandomizedDelaySec=0\nAccuracySec=1s\n' |
        as_user jo sh -c 'cat >~/.config/systemd/user/mailferry-fetch.timer.d/check.conf'
    as_user jo systemctl --user daemon-reload
    as_user jo systemctl --user enable --now mailferry-fetch.timer
    wait_until 20 same jo /home/jo/Mail/jo
    deliver jo 3 4
    wait_until 20 same jo /home/jo/Mail/jo
}

check_template_for_two_users() {
    fresh_home jo
    fresh_home alex
    home_config jo
    home_config alex
    systemctl enable --now mailferry@jo mailferry@alex
    wait_until 20 same jo /home/jo/Mail/jo
    wait_until 20 same alex /home/alex/Mail/alex
    [[ $(stat -c '%U' /home/alex/Mail/alex/new) == alex ]]
    # jo's terminal knows this daemon and its state.
    as_user jo mailferry status | grep jo
    deliver jo 3 4
    as_user jo mailferry poll
    wait_until 20 same jo /home/jo/Mail/jo
    systemctl disable --now mailferry@jo mailferry@alex
    as_user jo mailferry fetch | grep 'nothing new'
    same jo /home/jo/Mail/jo
}

check_template_takes_no_configuration_of_others() {
    fresh_home jo
    account work 'password = "inline"' | config
    chmod 644 /etc/mailferry/config.toml
    fails systemctl start mailferry@jo
    is mailferry@jo.service ExecMainStatus 78
    is mailferry@jo.service NRestarts 0
    journalctl --sync
    journalctl --no-pager -o cat -u mailferry@jo | grep '\.config/mailferry/config\.toml'
}

check_template_with_root_s_configuration_and_credential() {
    fresh_home jo
    password jo secret
    mv /etc/mailferry/credentials/jo /etc/mailferry/credentials/jo.jo
    deliver jo 1 2
    { printf 'state_dir = "~/.local/state/mailferry"\n[defaults]\nmaildir = "~/Mail/{account}"\n'; account jo; } \
        >/etc/mailferry/jo.toml
    drop_in mailferry@jo.service < <(
        echo '[Service]'
        sed -n 's/^#\(Environment=.*\)/\1/p' /project/systemd/mailferry@.service
        sed -n 's/^#\(LoadCredential=\)work:\(.*\)work$/\1jo:\2jo/p' /project/systemd/mailferry@.service
    )
    systemctl start mailferry@jo
    wait_until 20 same jo /home/jo/Mail/jo
    [[ -e /home/jo/.local/state/mailferry/jo.uids ]]
}
