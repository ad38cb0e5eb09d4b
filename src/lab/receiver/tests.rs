use tokio::io::AsyncReadExt;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

async fn connect(receiver: &Receiver) -> TcpStream {
    let addr = receiver.server.addr();
    TcpStream::connect(addr.to_string()).await.unwrap()
}

async fn send(stream: &mut TcpStream, path: &str, body: &str) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: lab\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads until the response ends as `end` says.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut buffer = [0; 1024];
        let length = timeout(LIMIT, stream.read(&mut buffer))
            .await
            .expect("an answer in time")
            .unwrap();
        assert!(length > 0, "the connection closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    text
}

#[tokio::test]
async fn requests_are_recorded_accepted_and_announced() {
    let receiver = Receiver::start([]).await.unwrap();
    let mut announced = receiver.subscribe();
    let mut stream = connect(&receiver).await;
    let before = clock::now();
    send(&mut stream, "/services/T0/B0/x", r#"{"text":"hi"}"#).await;
    assert!(
        read_until(&mut stream, "\r\n\r\nok")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    send(&mut stream, "/v2/enqueue", "not json").await;
    assert!(
        read_until(&mut stream, "}")
            .await
            .starts_with("HTTP/1.1 202 ")
    );

    let requests = receiver.requests();
    let paths: Vec<&str> = requests.iter().map(|r| r.path.as_str()).collect();
    assert_eq!(paths, ["/services/T0/B0/x", "/v2/enqueue"]);
    assert_eq!(requests[0].json().unwrap()["text"], "hi");
    assert_eq!(
        (requests[0].method.as_str(), requests[0].header("host")),
        ("POST", Some("lab"))
    );
    assert!(requests[0].at >= before && requests[1].at >= requests[0].at);
    assert!(requests[1].json().is_err());
    assert_eq!(announced.recv().await.unwrap(), requests[0]);
    assert_eq!(receiver.connections(), 1, "both came on one connection");
    assert!(
        receiver.url("/x").starts_with("http://127.0.0.1:") && receiver.url("/x").ends_with("/x")
    );
}

#[tokio::test]
async fn the_script_is_followed_and_then_requests_are_accepted() {
    let slow_down = Response::new(429)
        .header("Retry-After", "7")
        .body("slow down");
    let receiver = Receiver::start([Answer::Respond(slow_down), Answer::Close])
        .await
        .unwrap();
    let mut stream = connect(&receiver).await;
    send(&mut stream, "/a", "").await;
    let limited = read_until(&mut stream, "slow down").await;
    assert!(
        limited.starts_with("HTTP/1.1 429 ") && limited.contains("Retry-After: 7\r\n"),
        "{limited}"
    );
    send(&mut stream, "/b", "").await;
    assert_eq!(
        stream.read(&mut [0]).await.unwrap_or(0),
        0,
        "closed without an answer"
    );
    let mut stream = connect(&receiver).await;
    send(&mut stream, "/c", "").await;
    read_until(&mut stream, "ok").await;
    assert_eq!(
        receiver.requests().len(),
        3,
        "unanswered requests are recorded too"
    );
}

#[tokio::test]
async fn an_outage_lasts_until_it_is_ended() {
    let receiver = Receiver::start([Answer::Accept]).await.unwrap();
    receiver.always(Answer::Respond(Response::new(503).body("down")));
    let mut stream = connect(&receiver).await;
    for _ in 0..2 {
        send(&mut stream, "/a", "").await;
        read_until(&mut stream, "down").await;
    }
    receiver.always(Answer::Accept);
    send(&mut stream, "/a", "").await;
    read_until(&mut stream, "ok").await;
}

#[tokio::test]
async fn a_response_can_be_late_or_never_come() {
    let delay = Duration::from_millis(100);
    let late = Answer::Respond(Response::new(200).body("late").after(delay));
    let receiver = Receiver::start([late, Answer::Hang]).await.unwrap();
    let mut stream = connect(&receiver).await;
    let start = std::time::Instant::now();
    send(&mut stream, "/a", "").await;
    read_until(&mut stream, "late").await;
    assert!(start.elapsed() >= delay);
    send(&mut stream, "/b", "").await;
    receiver
        .wait_for("the second request", LIMIT, |r| r.path == "/b")
        .await
        .unwrap();
    assert!(
        timeout(delay, stream.read(&mut [0])).await.is_err(),
        "no answer, and still open"
    );
}

#[tokio::test]
async fn wait_for_finds_past_and_future_requests_or_lists_what_arrived() {
    let receiver = Receiver::start([]).await.unwrap();
    let mut stream = connect(&receiver).await;
    let waiting = receiver.wait_for("the alert", LIMIT, |r| r.text() == "fire");
    let (found, ()) = tokio::join!(waiting, async {
        send(&mut stream, "/noise", "noise").await;
        send(&mut stream, "/alert", "fire").await;
    });
    assert_eq!(found.unwrap().path, "/alert");
    receiver
        .wait_for("the noise", LIMIT, |r| r.path == "/noise")
        .await
        .unwrap();
    let error = receiver
        .wait_for("a resolve", Duration::from_millis(50), |r| {
            r.text() == "resolve"
        })
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("a resolve had not happened"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("2 requests, the last: [POST /noise noise; POST /alert fire]"),
        "{error}"
    );
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_not_recorded() {
    let receiver = Receiver::start([]).await.unwrap();
    let mut stream = connect(&receiver).await;
    stream.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
    assert!(
        read_until(&mut stream, "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    assert!(receiver.requests().is_empty());
}

#[test]
fn the_number_of_kept_requests_is_bounded() {
    let mut state = State::default();
    let request = |path: String| {
        let (method, headers) = ("POST".to_owned(), Vec::new());
        Received {
            at: Timestamp::default(),
            method,
            path,
            headers,
            body: Vec::new(),
        }
    };
    for number in 0..=MAX_RECORDED {
        state.record(request(format!("/{number}")));
    }
    assert_eq!(
        (state.recorded.len(), state.recorded[0].path.as_str()),
        (MAX_RECORDED, "/1")
    );
}
