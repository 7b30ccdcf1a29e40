# The one-shot service and its timer. Sourced inside the small Debian.

check_fetch_over_tls_with_a_credential() {
    password work first
    deliver work 1 5
    account work | config
    drop_in mailferry-fetch.service <<<$'[Service]\nLoadCredential=work:/etc/mailferry/credentials/work'
    systemctl start mailferry-fetch
    same work "$mail/work"
    is mailferry-fetch.service Result success
    # Whose it is, and who may read it.
    [[ $(stat -c '%U %a' /var/lib/mailferry) == 'mailferry 700' ]]
    [[ $(stat -c '%U %a' "$mail/work/new") == 'mailferry 700' ]]
    [[ $(stat -c '%U %a' "$mail"/work/new/* | sort -u) == 'mailferry 600' ]]
    [[ -e /var/lib/mailferry/work.uids ]]
    # A second run brings nothing twice, a third one what came meanwhile.
    systemctl start mailferry-fetch
    same work "$mail/work"
    deliver work 6 8
    systemctl start mailferry-fetch
    same work "$mail/work"
}

check_fetch_reads_a_changed_credential() {
    password work first
    deliver work 1 2
    account work | config
    drop_in mailferry-fetch.service <<<$'[Service]\nLoadCredential=work:/etc/mailferry/credentials/work'
    systemctl start mailferry-fetch
    password work second
    deliver work 3 4
    systemctl start mailferry-fetch
    same work "$mail/work"
}

check_fetch_with_an_encrypted_credential() {
    set_password qq geheim
    deliver qq 1 2
    mkdir -p /etc/mailferry/credentials
    echo geheim | systemd-creds encrypt --with-key=host --name=qq - /etc/mailferry/credentials/qq
    account qq | config
    drop_in mailferry-fetch.service <<<$'[Service]\nLoadCredentialEncrypted=qq:/etc/mailferry/credentials/qq'
    systemctl start mailferry-fetch
    same qq "$mail/qq"
}

check_fetch_with_the_credentials_drop_in() {
    password work first
    set_password qq geheim
    deliver work 1 2
    deliver qq 1 2
    echo geheim | systemd-creds encrypt --with-key=host --name=qq - /etc/mailferry/credentials/qq
    { account work; account qq; } | config
    install -m 644 -D /project/systemd/drop-in/credentials.conf -t /etc/systemd/system/mailferry-fetch.service.d/
    sed -i 's/^#LoadCredentialEncrypted=/LoadCredentialEncrypted=/' /etc/systemd/system/mailferry-fetch.service.d/credentials.conf
    systemctl daemon-reload
    systemctl start mailferry-fetch
    same work "$mail/work"
    same qq "$mail/qq"
}

check_fetch_with_a_password_command() {
    set_password work 'from-a-command'
    deliver work 1 2
    account work 'password_command = ["sh", "-c", "printf from; echo -a-command | tr x y | cat"]' | config
    systemctl start mailferry-fetch
    same work "$mail/work"
}

check_fetch_with_a_password_in_the_configuration() {
    set_password work inline
    deliver work 1 2
    account work 'password = "inline"' | config
    systemctl start mailferry-fetch
    same work "$mail/work"
}

check_fetch_from_a_name_in_etc_hosts() {
    set_password work inline
    deliver work 1 2
    account work 'password = "inline"' | sed 's/pop\.example/hosts.example/' | config
    systemctl start mailferry-fetch
    same work "$mail/work"
}

check_fetch_does_not_write_elsewhere() {
    set_password work inline
    deliver work 1 2
    install -d -o mailferry /srv/mail
    account work 'password = "inline"' 'maildir = "/srv/mail/work"' | config
    fails systemctl start mailferry-fetch
    is mailferry-fetch.service ExecMainStatus 73
    journalctl --sync
    journalctl -u mailferry-fetch -o cat | grep -i 'read-only file system'
}

check_fetch_shows_a_refused_login() {
    password work first
    set_password work other
    account work | config
    drop_in mailferry-fetch.service <<<$'[Service]\nLoadCredential=work:/etc/mailferry/credentials/work'
    fails systemctl start mailferry-fetch
    is mailferry-fetch.service Result exit-code
    is mailferry-fetch.service ExecMainStatus 77
    systemctl is-failed mailferry-fetch
    set_password work first
    wait_until 10 systemctl start mailferry-fetch
    fails systemctl is-failed mailferry-fetch
}

check_timer_fetches_again_and_again() {
    set_password work inline
    deliver work 1 2
    account work 'password = "inline"' | config
    # The waits are shorter here; everything else is as shipped.
    drop_in mailferry-fetch.timer <<<$'[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec=1s\nOnBootSec=1s\nRandomizedDelaySec=0\nAccuracySec=1s'
    systemctl enable --now mailferry-fetch.timer
    wait_until 20 same work "$mail/work"
    deliver work 3 4
    wait_until 20 same work "$mail/work"
    # A failure does not end it.
    set_password work other
    wait_until 20 systemctl is-failed mailferry-fetch
    deliver work 5 6
    set_password work inline
    wait_until 20 same work "$mail/work"
    systemctl disable --now mailferry-fetch.timer
}

check_timer_as_shipped_waits_its_time() {
    set_password work inline
    deliver work 1 2
    account work 'password = "inline"' | config
    systemctl start mailferry-fetch.timer
    is mailferry-fetch.timer ActiveState active
    wait_until 100 same work "$mail/work"
    wait_until 10 is mailferry-fetch.service ActiveState inactive
    # The next run is counted from the end of this one.
    systemctl list-timers --no-pager mailferry-fetch.timer | grep -E '(4min|5min)'
}

check_maildirs_elsewhere_for_a_group() {
    set_password work inline
    deliver work 1 2
    account work 'password = "inline"' | config 'maildir_mode = "0750"'
    sed -i 's,^maildir = .*,maildir = "/srv/mail/{account}",' /etc/mailferry/config.toml
    cd /project
    bash -eux -c "$(told 'Mail for others to read' | sed 's/^groupadd/getent group mail-readers || &/')"
    install -m 644 -D systemd/drop-in/maildirs-elsewhere.conf -t /etc/systemd/system/mailferry-fetch.service.d/
    systemctl daemon-reload
    usermod -aG mail-readers alex
    systemctl start mailferry
    wait_until 20 same work /srv/mail/work
    systemctl stop mailferry
    deliver work 3 4
    systemctl start mailferry-fetch
    same work /srv/mail/work
    [[ $(stat -c '%U:%G %a' /srv/mail/work/new) == 'mailferry:mail-readers 750' ]]
    [[ $(stat -c '%U:%G %a' /srv/mail/work/new/* | sort -u) == 'mailferry:mail-readers 640' ]]
    # The group reads, and cannot change; nobody else even looks.
    runuser -u alex -- sh -c 'cat /srv/mail/work/new/*'
    fails runuser -u alex -- sh -c 'rm -f /srv/mail/work/new/*'
    fails runuser -u jo -- ls /srv/mail/work
    fails runuser -u alex -- ls /var/lib/mailferry
    [[ $(stat -c %a /var/lib/mailferry/*.uids | sort -u) == 600 ]]
}
