use std::sync::Arc;

use super::conversation::listed;
use super::*;
use crate::pop3::MessageNumber;
use crate::secret::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

const SECOND: Duration = Duration::from_secs(1);

/// A client and the server's end of its connection, with a buffer of `room` bytes between them.
fn pair(room: usize) -> (Client, DuplexStream) {
    let (ours, theirs) = duplex(room);
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 110));
    let connection = Connection::in_clear(ours, peer);
    (Client::new(connection, Timeouts::new(60 * SECOND)), theirs)
}

/// A client whose server has greeted it, let it in without checking, and supports PIPELINING.
async fn logged_in(room: usize) -> (Client, DuplexStream) {
    let (mut client, mut server) = pair(room.max(64));
    server.write_all(b"+OK\r\n").await.unwrap();
    client.event().await.unwrap();
    for (command, length) in [(Command::User("jo".to_owned()), 9), (Command::Pass(Secret::new(b"x".to_vec())), 8)] {
        let answer = async {
            server.read_exact(&mut vec![0; length]).await.unwrap();
            server.write_all(b"+OK\r\n").await.unwrap();
        };
        let (response, ()) = tokio::join!(client.exchange(command), answer);
        response.unwrap();
    }
    client.pipelining = true;
    (client, server)
}

fn number(n: u32) -> MessageNumber {
    MessageNumber::new(n).unwrap()
}

fn retrieve(n: u32) -> Command {
    Command::Retr(number(n))
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let (mut client, _server) = pair(64);
    let before = Instant::now();
    let error = client.event().await.unwrap_err();
    assert!(matches!(error, ClientError::Silence { .. }), "{error}");
    assert_eq!(before.elapsed().as_secs(), 60);
}

/// Sends a message of this many octets at this rate a second.
async fn drip(octets: usize, a_second: usize) -> Result<usize, ClientError> {
    let (mut client, mut server) = logged_in(1 << 20).await;
    client.ask(retrieve(1))?;
    let dripping = tokio::spawn(async move {
        server.write_all(b"+OK\r\n").await.unwrap();
        for _ in 0..octets / a_second {
            tokio::time::sleep(SECOND).await;
            if server.write_all(&vec![b'x'; a_second]).await.is_err() {
                return;
            }
        }
        let _ = server.write_all(b"\r\n.\r\n").await;
        std::future::pending::<()>().await;
    });
    let mut received = 0;
    let result = loop {
        match client.event().await {
            Ok(Event::Data(range)) => received += range.len(),
            Ok(Event::End { .. }) => break Ok(received),
            Ok(_) => {}
            Err(e) => break Err(e),
        }
    };
    dripping.abort();
    result
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drips_is_given_up_and_a_slow_line_is_not() {
    let error = drip(1_000_000, 1).await.unwrap_err();
    assert!(matches!(error, ClientError::TooSlow { octets, .. } if octets < 200), "{error}");
    let error = drip(1_000_000, 200).await.unwrap_err();
    assert!(matches!(error, ClientError::TooSlow { window, .. } if window > 600 * SECOND), "{error}");
    assert_eq!(drip(600_000, 600).await.unwrap(), 600_002);
}

#[tokio::test]
async fn both_sides_may_write_at_the_same_time() {
    // With hardly any buffer, a client that wrote everything before reading would wait forever.
    let (mut client, mut server) = logged_in(64).await;
    for n in 1..=WINDOW {
        client.ask(retrieve(u32::try_from(n).unwrap())).unwrap();
    }
    tokio::spawn(async move {
        for _ in 0..WINDOW {
            server.write_all(&[b"+OK\r\n", &[b'x'; 500][..], b"\r\n.\r\n"].concat()).await.unwrap();
            let mut command = [0; 6];
            server.read_exact(&mut command).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    let mut complete = 0;
    while complete < WINDOW {
        if let Event::End { .. } = client.event().await.unwrap() {
            complete += 1;
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_is_noticed_at_once() {
    let (mut client, server) = logged_in(64).await;
    drop(server);
    client.ask(retrieve(1)).unwrap();
    let error = client.event().await.unwrap_err();
    assert!(matches!(error, ClientError::Closed | ClientError::Lost { .. }), "{error}");
}

/// The messages at which the session ended when the server answers three RETRs like this and closes the connection.
async fn ended_at(answers: &[u8]) -> Vec<u32> {
    let (mut client, mut server) = logged_in(4096).await;
    (1..=3).for_each(|n| client.ask(retrieve(n)).unwrap());
    server.write_all(answers).await.unwrap();
    server.shutdown().await.unwrap();
    loop {
        if let Err(e) = client.event().await {
            return client.ended_at(&e).into_iter().map(MessageNumber::get).collect();
        }
    }
}

#[tokio::test]
async fn the_message_at_which_a_session_ends_is_named() {
    assert_eq!(ended_at(b"").await, [1]);
    assert_eq!(ended_at(b"+OK\r\nab").await, [1]);
    assert_eq!(ended_at(b"+OK\r\n.\r\n+OK\r\nab").await, [2]);
    assert_eq!(ended_at(b"+OK\r\n.\r\nrubbish\r\n").await, [1, 2], "the end of the first may have been a wrong one");
    assert_eq!(ended_at(b"-ERR no\r\nrubbish\r\n").await, [1, 2]);
}

#[tokio::test]
async fn a_dele_takes_a_proof() {
    let (mut client, _server) = logged_in(64).await;
    assert!(client.ask(Command::Dele(number(1))).is_err());
    assert_eq!(client.outstanding(), 0);
}

#[tokio::test]
async fn what_was_kept_secret_is_not_repeated() {
    let (mut client, mut server) = pair(4096);
    client.redactor = Redactor::new("jo", &Secret::new(b"s3cret".to_vec()));
    server.write_all(b"-ERR [s3cret] not s3cret, not AGpvAHMzY3JldA==\r\n").await.unwrap();
    let Event::Greeting(greeting) = client.event().await.unwrap() else { panic!("no greeting") };
    assert_eq!(greeting.response.text, "not [secret], not [secret]");
    assert_eq!(greeting.response.code, None);
}

#[tokio::test]
async fn what_is_said_out_of_turn_is_not_repeated_either() {
    let (mut client, mut server) = pair(4096);
    client.redactor = Redactor::new("jo", &Secret::new(b"s3cret".to_vec()));
    server.write_all(b"+OK\r\nPASS s3cret\r\n").await.unwrap();
    client.event().await.unwrap();
    let unsolicited = client.ask(Command::Capa).unwrap_err().to_string();
    assert!(unsolicited.contains("PASS [secret]"), "{unsolicited}");

    let (mut client, mut server) = pair(4096);
    client.redactor = Redactor::new("jo", &Secret::new(b"s3cret".to_vec()));
    server.write_all(b"PASS s3cret\r\n").await.unwrap();
    let no_pop3 = client.event().await.unwrap_err().to_string();
    assert!(no_pop3.contains("PASS [secret]"), "{no_pop3}");
}

#[tokio::test]
async fn numbers_that_look_like_a_password_stay_numbers() {
    let (mut client, mut server) = logged_in(4096).await;
    client.redactor = Redactor::new("jo", &Secret::new(b"1234".to_vec()));
    server.write_all(b"+OK 2 12345\r\n").await.unwrap();
    assert_eq!(client.exchange(Command::Stat).await.unwrap().text, "2 12345");
}

/// Asks for this many headers from a server that answers each TOP like this. Returns the result and how many were asked
/// for.
async fn look_at(
    headers: u32,
    answer: impl Fn(usize) -> Vec<u8> + Send + 'static,
) -> (Result<usize, ClientError>, usize) {
    let (mut client, mut server) = logged_in(1 << 20).await;
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let serving = tokio::spawn(async move {
        let (mut unread, mut buffer) = (Vec::new(), vec![0; 4096]);
        while let Ok(count) = server.read(&mut buffer).await {
            unread.extend_from_slice(&buffer[..count]);
            while let Some(at) = unread.iter().position(|octet| *octet == b'\n') {
                unread.drain(..=at);
                let nth = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                if server.write_all(&answer(nth)).await.is_err() {
                    return;
                }
            }
            if count == 0 {
                return;
            }
        }
    });
    let numbers: Vec<MessageNumber> = (1..=headers).map(number).collect();
    let seen = listing::digest_headers(&mut client, &numbers, None).await.map(|seen| seen.len());
    serving.abort();
    (seen, asked.load(std::sync::atomic::Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn headers_that_are_all_refused_are_not_asked_for_on_and_on() {
    let (seen, asked) = look_at(5000, |_| b"-ERR no\r\n".to_vec()).await;
    assert_eq!(seen.unwrap(), 0);
    assert!((300..300 + WINDOW).contains(&asked), "{asked}");
    // One in three is shown: all are asked for.
    let some =
        |nth: usize| if nth.is_multiple_of(3) { b"+OK\r\nDate: x\r\n\r\n.\r\n".to_vec() } else { b"-ERR\r\n".to_vec() };
    let (seen, asked) = look_at(3000, some).await;
    assert_eq!((seen.unwrap(), asked), (1000, 3000));
}

#[tokio::test(start_paused = true)]
async fn a_header_is_read_up_to_a_bound() {
    let header = |octets: usize| move |_| [b"+OK\r\n".as_slice(), &vec![b'x'; octets - 2], b"\r\n.\r\n"].concat();
    assert_eq!(look_at(1, header(32 << 20)).await.0.unwrap(), 1);
    let error = look_at(1, header((32 << 20) + 1)).await.0.unwrap_err();
    assert!(matches!(&error, ClientError::TooLong(too_long) if too_long.what.contains("message 1")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn headers_that_drip_are_given_up() {
    let (mut client, mut server) = logged_in(1 << 20).await;
    let dripping = tokio::spawn(async move {
        // Two hundred octets in each answer, one answer a second.
        while server.write_all(format!("+OK\r\nX: {}\r\n\r\n.\r\n", "x".repeat(190)).as_bytes()).await.is_ok() {
            tokio::time::sleep(SECOND).await;
        }
    });
    let numbers: Vec<MessageNumber> = (1..=5000).map(number).collect();
    let before = Instant::now();
    let error = listing::digest_headers(&mut client, &numbers, None).await.unwrap_err();
    assert!(matches!(error, ClientError::TooSlow { .. }), "{error}");
    assert!((600..1300).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    dripping.abort();
}

#[tokio::test]
async fn what_may_be_deleted_in_another_session_is_refused_and_nothing_is_sent() {
    let (mut client, mut server) = logged_in(64).await;
    let other = crate::plan::tests::removable_in(SessionSerial::next());
    let error = client.delete(&other).unwrap_err();
    assert!(matches!(error, ClientError::Send(SendError::OtherSession { number: n }) if n == number(1)), "{error}");
    assert_eq!(client.outstanding(), 0);
    client.delete(&crate::plan::tests::removable_in(client.serial())).unwrap();
    let answer = async {
        let mut sent = [0; 8];
        server.read_exact(&mut sent).await.unwrap();
        server.write_all(b"+OK\r\n").await.unwrap();
        sent
    };
    let (event, sent) = tokio::join!(client.event(), answer);
    assert!(matches!(event.unwrap(), Event::Response { to: CommandKind::Dele(_), .. }));
    assert_eq!(&sent, b"DELE 1\r\n", "and nothing before it");
}

#[test]
fn headers_are_progress_and_what_never_ends_is_none() {
    let top = CommandKind::Top(number(1));
    for (current, event, octets) in [
        // They are counted once they are read.
        (CommandKind::Uidl(None), Event::Lines(5..105), 0),
        (CommandKind::List(None), Event::Line(0..9), 0),
        (top, Event::Data(0..70), 70),
        (CommandKind::Uidl(None), Event::LongLine(0..4096), 0),
        (CommandKind::Capa, Event::Line(0..10), 0),
        // It is counted as mail.
        (CommandKind::Retr(number(1)), Event::Data(0..70), 0),
        (top, Event::End { to: top }, 0),
    ] {
        assert_eq!(listed(current, &event), octets, "{current:?} {event:?}");
    }
}

#[tokio::test]
async fn the_watch_sees_headers_and_not_refusals() {
    for (answer, listed, answered) in [("+OK\r\nX: y\r\n\r\n.\r\n", 8, 1), ("-ERR no\r\n", 0, 0)] {
        let watch = Arc::new(watch::Watch::default());
        watch::watched(Arc::clone(&watch), look_at(3, move |_| answer.as_bytes().to_vec())).await.0.unwrap();
        assert_eq!((watch.octets(), watch.answers()), (3 * listed, 3 * answered));
    }
}

#[tokio::test]
async fn a_session_that_is_cut_short_ends_with_the_next_octets_and_knows_its_message() {
    let (mut client, mut server) = logged_in(1 << 20).await;
    client.ask(retrieve(1)).unwrap();
    let watch = Arc::new(watch::Watch::default());
    watch::watched(Arc::clone(&watch), async {
        server.write_all(b"+OK\r\n").await.unwrap();
        assert!(matches!(client.event().await, Ok(Event::Response { .. })));
        watch.cut_short();
        server.write_all(b"xxxx").await.unwrap();
        let error = client.event().await.unwrap_err();
        assert!(matches!(error, ClientError::TooSlow { .. }), "{error}");
        assert_eq!(client.ended_at(&error), [number(1)]);
    })
    .await;
}
