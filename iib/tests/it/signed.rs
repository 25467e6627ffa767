//! Calls through a gateway that wants signatures of AWS, in front of a real service.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use iib_testkit::issuer::TestIssuer;
use jiff::Timestamp;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::command::demo_folder;
use crate::process::{Server, iib};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-central-1";

/// What the gateway has let through, and how often it has refused.
#[derive(Default)]
struct Seen {
    let_through: Vec<String>,
    refused: usize,
}

struct Gateway {
    service: String,
    seen: Mutex<Seen>,
}

/// Refuses as an HTTP API with the authorization `AWS_IAM` does, or hands on.
async fn hand_on(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let host = parts.headers[header::HOST].to_str().unwrap().to_owned();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let given = parts.headers.get(header::AUTHORIZATION);
    let given = given.map(|given| given.to_str().unwrap().to_owned());
    let url = format!("http://{host}{path}");
    let expected = signature(parts.method.as_str(), &url, &parts.headers, &body);
    let is_good = given.is_some() && given == expected;
    {
        let mut seen = gateway.seen.lock().unwrap();
        if !is_good {
            seen.refused += 1;
            return Response::builder()
                .status(StatusCode::FORBIDDEN)
                .header("apigw-requestid", "Abc=")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(r#"{"message":"Forbidden"}"#))
                .unwrap();
        }
        seen.let_through.push(format!("{} {path}", parts.method));
    }
    let client = reqwest::Client::builder().redirect(Policy::none());
    let call = client.build().unwrap();
    let call = call.request(parts.method, format!("{}{path}", gateway.service));
    let call = call
        .header(header::CONTENT_TYPE, "application/json")
        .body(body);
    let answer = call.send().await.unwrap();
    let mut handed_on = Response::builder()
        .status(answer.status())
        .header("apigw-requestid", "Abc=");
    for (name, value) in answer.headers() {
        handed_on = handed_on.header(name, value);
    }
    handed_on
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}

/// The signature that this call has to have, for what arrived.
fn signature(method: &str, url: &str, headers: &HeaderMap, body: &Bytes) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().unwrap();
    let (_, names) = given.split_once("SignedHeaders=")?;
    let (names, _) = names.split_once(',')?;
    let date = headers.get("x-amz-date")?.to_str().unwrap();
    let at: Timestamp = date.parse().unwrap();
    let identity = Credentials::new(KEY, SECRET, None, None, "test").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("execute-api")
        .time(SystemTime::UNIX_EPOCH + Duration::try_from(at.as_duration()).unwrap())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    // The signature's own are added by it.
    let own = ["host", "x-amz-date", "authorization"];
    let signed = names.split(';').filter(|name| !own.contains(name));
    let signed = signed.map(|name| (name, headers[name].to_str().unwrap()));
    let signable = SignableRequest::new(method, url, signed, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut made = instructions.headers();
    made.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map(|(_, value)| value.to_owned())
}

/// A gateway that wants signatures, on a runtime, in front of a service; and its address.
fn gateway(runtime: &Runtime, service: &str) -> (Arc<Gateway>, String) {
    let gateway = Arc::new(Gateway {
        service: service.to_owned(),
        seen: Mutex::default(),
    });
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let router = Router::new().fallback(hand_on).with_state(gateway.clone());
    runtime.spawn(async move { axum::serve(listener, router).await });
    (gateway, format!("http://{address}"))
}

/// The command, in an environment without credentials, or with those that the gateway knows.
fn asking(words: &[&str], url: &str, home: &Path, with_credentials: bool) -> Command {
    let mut command = iib(words);
    command.args(["--url", url]).env("HOME", home);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    if with_credentials {
        command.env("AWS_ACCESS_KEY_ID", KEY);
        command.env("AWS_SECRET_ACCESS_KEY", SECRET);
        command.env("AWS_REGION", REGION);
    }
    command
}

#[test]
fn calls_are_signed_where_the_gateway_asks_for_it() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let runtime = Runtime::new().unwrap();
    let (gateway, url) = gateway(&runtime, &server.api);
    let run = |words: &[&str], with| asking(words, &url, folder.path(), with).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let list = run(&["list", "--output", "json", "--state", "complete"], true);
    assert!(list.status.success(), "{}", text(&list.stderr));
    let listed: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert!(!listed.as_array().unwrap().is_empty(), "{listed}");
    {
        let seen = gateway.seen.lock().unwrap();
        // Once it was asked for.
        assert_eq!(
            (seen.refused, seen.let_through.len()),
            (1, 1),
            "{:?}",
            seen.let_through
        );
        assert!(seen.let_through[0].contains("state=complete"));
    }
    // A body is signed, too, and what the service itself refuses is not signed anew.
    let call = [
        "rm",
        "--operator",
        "x",
        "--from-index",
        "not an image",
        "--binary-image",
        "b:v1",
    ];
    let refused = run(&call, true);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(said.contains("(400 Bad Request)"), "{said}");

    let without = run(&["list"], false);
    assert!(!without.status.success());
    let said = text(&without.stderr);
    assert!(said.contains("the call is not signed: "), "{said}");
    assert!(said.contains("execute-api:Invoke"), "{said}");
}

/// `iib open` while it shows pages. Killed when dropped.
struct Shown {
    process: Child,
    /// Where a browser has to begin.
    begin: String,
}

impl Shown {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut begin = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut begin).unwrap();
        let begin = begin.trim().to_owned();
        Self { process, begin }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

/// What a browser without cookies of its own sees at an address.
async fn seen_at(url: &str, cookie: Option<&str>, host: Option<&str>) -> reqwest::Response {
    let browser = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let mut call = browser.get(url).header(header::ACCEPT, "text/html");
    for (name, value) in [(header::COOKIE, cookie), (header::HOST, host)] {
        if let Some(value) = value {
            call = call.header(name, value);
        }
    }
    call.send().await.unwrap()
}

/// Goes in as a browser does; gives where the page is, and the cookie.
async fn let_in(shown: &Shown) -> (String, String) {
    let (server, key) = shown.begin.split_once("/?key=").unwrap();
    let answer = seen_at(&shown.begin, None, None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let (cookie, _) = cookie.split_once(';').unwrap();
    let cookie = cookie.to_owned();
    // Others can see what a browser is started with.
    assert!(!cookie.contains(key));
    let goes_on = answer.text().await.unwrap();
    let (_, page) = goes_on.split_once("url=").unwrap();
    let (page, _) = page.split_once('"').unwrap();
    let again = seen_at(&shown.begin, None, None).await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let again = seen_at(&shown.begin, Some(&cookie), None).await;
    assert_eq!(again.status(), StatusCode::OK);
    (format!("{server}{page}"), cookie)
}

#[test]
fn a_browser_sees_pages_whose_calls_have_to_be_signed() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let runtime = Runtime::new().unwrap();
    let (gateway, url) = gateway(&runtime, &server.api);
    let refused = asking(&["open", "--print"], &url, folder.path(), false);
    let refused = { refused }.output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(said.contains("execute-api:Invoke"), "{said}");

    let words = ["open", "1", "--print"];
    let shown = Shown::start(asking(&words, &url, folder.path(), true));
    runtime.block_on(async {
        let (page, cookie) = let_in(&shown).await;
        assert!(page.ends_with("/requests/1"), "{page}");
        let answer = seen_at(&page, Some(&cookie), None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.text().await.unwrap().contains("<title>"));
        let style = page.replace("/requests/1", "/assets/style.css");
        let answer = seen_at(&style, Some(&cookie), None).await;
        assert_eq!(
            answer.headers()[header::CONTENT_TYPE],
            "text/css; charset=utf-8"
        );
        let seen = gateway.seen.lock().unwrap().let_through.len();

        // Whoever does not know the key, another name of this machine, another way to write another host.
        let guessed = format!("{cookie}0");
        for (cookie, host, status) in [
            (None, None, StatusCode::FORBIDDEN),
            (Some(&*guessed), None, StatusCode::FORBIDDEN),
            (
                Some(&*cookie),
                Some("iib.example.com"),
                StatusCode::MISDIRECTED_REQUEST,
            ),
        ] {
            let answer = seen_at(&page, cookie, host).await;
            assert_eq!(answer.status(), status, "{cookie:?} {host:?}");
        }
        assert_eq!(gateway.seen.lock().unwrap().let_through.len(), seen);
        let forwarded = page.split(':').nth(2).unwrap().split('/').next().unwrap();
        let forwarded = format!("localhost:{forwarded}");
        let answer = seen_at(&page, Some(&cookie), Some(&forwarded)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let odd = page.replace("/requests/1", "//127.0.0.1:1/");
        let answer = seen_at(&odd, Some(&cookie), None).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        // The browser goes on by itself, or elsewhere, with no login of ours.
        let list = page.replace("/requests/1", "/requests");
        let answer = seen_at(&list, Some(&cookie), None).await;
        assert!(answer.status().is_redirection(), "{}", answer.status());
        // Nothing is changed by a page.
        let call = reqwest::Client::new()
            .post(&page)
            .header(header::COOKIE, &cookie);
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    });
}

#[test]
fn a_browser_sees_pages_for_which_a_token_is_needed() {
    let runtime = Runtime::new().unwrap();
    let issuer = runtime.block_on(TestIssuer::start());
    let folder = demo_folder();
    let mut serve = iib(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--registry-listen",
        "127.0.0.1:0",
    ]);
    serve.env("IIB_JWT_ISSUER", &issuer.address);
    serve.env("IIB_JWT_AUDIENCES", "iib");
    serve.env("IIB_LOGIN_DISABLED", "false");
    serve.env("IIB_READS_NEED_LOGIN", "true");
    let server = Server::spawn(serve, folder.path());
    let open = |token: Option<&str>| {
        let mut command = asking(&["open", "--print"], &server.api, folder.path(), false);
        if let Some(token) = token {
            command.env("IIB_TOKEN", token);
        }
        command
    };
    for (token, why) in [
        (None, "put a token into IIB_TOKEN"),
        (Some("x"), "it is no JSON Web Token"),
    ] {
        let refused = open(token).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{said}");
    }
    let token = issuer.token("iib", &json!({"sub": "ann"}));
    let shown = Shown::start(open(Some(&token)));
    runtime.block_on(async {
        let (page, cookie) = let_in(&shown).await;
        let answer = seen_at(&page, Some(&cookie), None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let text = answer.text().await.unwrap();
        assert!(text.contains("/requests/1") && !text.contains(&token));
    });
}

/// A log that is long is a link to the store.
#[test]
fn a_login_goes_to_the_service_and_to_nobody_whom_it_points_to() {
    let runtime = Runtime::new().unwrap();
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let start = |router: Router| {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    };
    let store = {
        let seen = seen.clone();
        start(Router::new().fallback(async move |call: Request| {
            seen.lock().unwrap().push(call.headers().clone());
            "the whole log\n"
        }))
    };
    let service = start(Router::new().fallback(async move |call: Request| {
        assert_eq!(call.headers()[header::AUTHORIZATION], "Bearer secret");
        let is_log = call.uri().path().ends_with("/logs");
        let location = is_log.then(|| format!("{store}/log"));
        let mut answer = Response::builder().status(StatusCode::OK);
        if let Some(location) = location {
            answer = answer
                .status(StatusCode::FOUND)
                .header(header::LOCATION, location);
        }
        let document = json!({"id": 7, "state": "complete", "request_type": "add"});
        answer.body(Body::from(document.to_string())).unwrap()
    }));
    let mut command = iib(&["logs", "7", "--url", &service]);
    let ended = command.env("IIB_TOKEN", "secret").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "the whole log\n");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].get(header::AUTHORIZATION), None);
}
