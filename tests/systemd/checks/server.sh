# The server's side: a certificate authority that this Debian trusts, a name server that knows pop.example.test, and Dovecot.
# Sourced inside the small Debian.

# A certificate for pop.example.test by an authority of our own among the system's.
make_certificates() {
    local dir=/srv/certificates
    mkdir -p "$dir"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj '/CN=Authority of the tests' \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
        -keyout "$dir/authority.key" -out "$dir/authority.pem"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=pop.example.test \
        -keyout "$dir/key.pem" -out "$dir/request.pem"
    openssl x509 -req -in "$dir/request.pem" -CA "$dir/authority.pem" -CAkey "$dir/authority.key" -CAcreateserial -days 30 \
        -extfile <(printf 'subjectAltName=DNS:pop.example.test,DNS:hosts.example.test\nextendedKeyUsage=serverAuth\n') \
        -out "$dir/cert.pem"
    cp "$dir/authority.pem" /usr/local/share/ca-certificates/tests.crt
    update-ca-certificates
}

# pop.example.test is known to the name server only, hosts.example.test to /etc/hosts only.
start_name_server() {
    echo '127.0.0.1 hosts.example.test' >>/etc/hosts
    systemd-run --unit=names --collect dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address=127.0.0.1 \
        --bind-interfaces --address=/pop.example.test/127.0.0.1
}

# Where users and passwords are: one line a user.
users=/srv/users

# Dovecot 2.3 and 2.4 name the same things differently.
dovecot_settings() {
    cat <<END
protocols = pop3
listen = 127.0.0.1
ssl = yes
auth_mechanisms = plain login
mail_max_userip_connections = 100
first_valid_uid = 1
mail_fsync = never
# No waiting after refused logins.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
END
    if dovecot --version | grep -q '^2\.3'; then
        cat <<END
ssl_cert = </srv/certificates/cert.pem
ssl_key = </srv/certificates/key.pem
auth_failure_delay = 0
mail_location = maildir:~/
passdb {
  driver = passwd-file
  args = scheme=PLAIN $users
}
userdb {
  driver = static
  args = uid=popmail gid=popmail home=/srv/pop3/%u
}
END
    else
        cat <<END
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = /srv/certificates/cert.pem
ssl_server_key_file = /srv/certificates/key.pem
auth_failure_delay = 0
mail_driver = maildir
mail_path = ~/
passdb passwd-file {
  default_password_scheme = PLAIN
  passwd_file_path = $users
}
userdb static {
  fields {
    uid = popmail
    gid = popmail
    home = /srv/pop3/%{user}
  }
}
END
    fi
}

start_dovecot() {
    useradd --system popmail
    touch -d 2020-01-01 "$users"
    chown root:dovecot "$users"
    chmod 640 "$users"
    dovecot_settings >/srv/dovecot.conf
    # The version stands first.
    sort -s -t' ' -k1,1 /srv/dovecot.conf | grep '^dovecot_' >/srv/dovecot.head || true
    { cat /srv/dovecot.head; grep -v '^dovecot_' /srv/dovecot.conf; } >/srv/dovecot.both
    mv /srv/dovecot.both /srv/dovecot.conf
    systemd-run --unit=pop3-server dovecot -F -c /srv/dovecot.conf
    timeout 20 bash -c 'until true >/dev/tcp/127.0.0.1/995; do sleep 0.1; done' 2>/dev/null
}

# A user's password on the server: set_password USER WORD
set_password() {
    local before
    before=$(stat -c %Y "$users")
    { grep -v "^$1:" "$users" || true; echo "$1:$2::::::"; } >"$users.new"
    cat "$users.new" >"$users" # the same file, owner and mode
    # Dovecot reads it again when its time has changed, but looks only once in a second.
    touch -d "@$((before + 1))" "$users"
    sleep 1.1
}

# Lets messages arrive: deliver USER FIRST LAST
deliver() {
    local dir=/srv/pop3/$1 number file
    for file in "$dir" "$dir/tmp" "$dir/new" "$dir/cur"; do install -d -o popmail -g popmail "$file"; done
    set +x # thousands of lines
    for ((number = $2; number <= $3; number++)); do
        file=$dir/tmp/$((1700000000 + number)).M$number.tests
        printf 'From: somebody@example.test\nMessage-ID: <%s.%s@example.test>\nSubject: number %s\n\nText of message %s.\n' \
            "$number" "$1" "$number" "$number" >"$file"
    done
    set -x
    chown -R popmail: "$dir/tmp"
    find "$dir/tmp" -type f -exec mv -t "$dir/new" {} +
}

# No user has mail.
empty_server() { rm -rf /srv/pop3; install -d -o popmail -g popmail /srv/pop3; }
