use crate::service::Service;

const NOT_FOUND: &str = "The requested resource was not found";
const NOT_ALLOWED: &str = "The method is not allowed for the requested URL.";

#[tokio::test]
async fn unknown_paths_and_requests_are_not_found() {
    let service = Service::new();
    let paths = [
        "/index.html",
        "/api/v1/builds/",
        "/api/v1/builds/1",
        "/api/v1/builds/0",
        "/api/v1/builds/abc",
        "/api/v1/builds/-1",
        "/api/v1/builds/+1",
        "/api/v1/builds/1.5",
        "/api/v1/builds/99999999999999999999999",
        "/api/v1/builds/%FF",
        "/api/v1/builds/1/logs",
        "/api/v1/builds/x/logs",
        "/api/v1/builds/1/logs/",
        "/api/v1/builds/1/unknown",
        "/api/v1/builds/1/diff",
        "/api/v1/builds/x/diff",
        "/api/v1/builds/1/graph?package=p",
        "/api/v1/builds/1/graph/",
        "/api/v1/nothing-here",
        "/api/v2/builds",
        "/api/v1/builds?page=2",
        "/api/v1/builds?per_page=0",
    ];
    for path in paths {
        service.get(path).await.assert_error(404, NOT_FOUND);
    }
}

#[tokio::test]
async fn known_paths_refuse_other_methods() {
    let service = Service::new();
    let cases = [
        ("DELETE", "/api/v1/builds/1", "GET,HEAD,PATCH"),
        ("PUT", "/api/v1/builds/1", "GET,HEAD,PATCH"),
        ("POST", "/api/v1/builds/1", "GET,HEAD,PATCH"),
        ("POST", "/api/v1/builds", "GET,HEAD"),
        ("PATCH", "/api/v1/builds", "GET,HEAD"),
        ("POST", "/api/v1/healthcheck", "GET,HEAD"),
        ("PATCH", "/api/v1/builds/1/logs", "GET,HEAD"),
        ("POST", "/api/v1/builds/1/diff", "GET,HEAD"),
        ("DELETE", "/api/v1/builds/1/graph", "GET,HEAD"),
        ("GET", "/api/v1/builds/add", "POST"),
        ("PATCH", "/api/v1/builds/add", "POST"),
    ];
    for (method, path, allow) in cases {
        let answer = service.call(method, path).await;
        answer.assert_error(405, NOT_ALLOWED);
        assert_eq!(answer.allow.as_deref(), Some(allow), "{method} {path}");
    }
}

#[tokio::test]
async fn a_path_is_looked_at_before_the_method() {
    let service = Service::new();
    for path in ["/api/v1/builds/abc", "/api/v1/builds/x/logs", "/nothing"] {
        let answer = service.call("DELETE", path).await;
        answer.assert_error(404, NOT_FOUND);
    }
}
