//! What the surroundings of a process do to it: variables, logins, files for logs.

use std::process::Command;
use std::{fs, io};

use serde_json::Value;

use crate::command::demo_folder;
use crate::process::{Server, iib};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The service on free ports.
fn service() -> Command {
    iib(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--registry-listen",
        "127.0.0.1:0",
    ])
}

/// Of what the service runs in, the variables that begin so.
fn variables(server: &Server, start: &str) -> Vec<String> {
    let environment = text(&server.told("environ"));
    let variables = environment.split('\0');
    let found = variables.filter(|variable| variable.starts_with(start));
    found.map(str::to_owned).collect()
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn the_threads_of_the_service_share_one_heap_unless_it_is_said_how_many_there_are() {
    let folder = demo_folder();
    let server = Server::spawn(service(), folder.path());
    assert_eq!(variables(&server, "MALLOC_"), ["MALLOC_ARENA_MAX=1"]);
    let words = text(&server.told("cmdline"));
    assert_eq!(words.split('\0').nth(1), Some("serve"), "{words}");
    assert_eq!(text(&server.told("comm")), "iib\n");
    server.kill();
    let mut serve = service();
    serve
        .env("MALLOC_ARENA_MAX", "")
        .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    let server = Server::spawn(serve, folder.path());
    assert_eq!(variables(&server, "MALLOC_"), ["MALLOC_ARENA_MAX=1"]);
    server.kill();
    let mut serve = service();
    serve.env("MALLOC_ARENA_MAX", "3");
    let server = Server::spawn(serve, folder.path());
    assert_eq!(variables(&server, "MALLOC_"), ["MALLOC_ARENA_MAX=3"]);
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
fn the_service_starts_under_the_loader() {
    let folder = demo_folder();
    let mut serve = Command::new("/lib64/ld-linux-x86-64.so.2");
    serve
        .arg(service().get_program())
        .args(service().get_args())
        .env_clear();
    let server = Server::spawn(serve, folder.path());
    assert_eq!(variables(&server, "MALLOC_"), [""; 0]);
}

#[test]
fn a_login_with_a_line_break_is_refused() {
    let folder = demo_folder();
    let refused = service()
        .args(["--registry-login", "bob:secret\n", "--data-folder"])
        .arg(folder.path())
        .output()
        .unwrap();
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("--registry-login") && told.contains("line breaks"),
        "{told}"
    );
    assert!(!told.contains("secret"), "{told}");
}

/// A proxy that nobody listens at: what is asked of it fails.
const DEAD_PROXY: &str = "http://127.0.0.1:9";

#[test]
fn a_proxy_is_not_asked_about_this_machine_by_any_command() {
    let folder = demo_folder();
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let mut serve = service();
        serve.env(variable, DEAD_PROXY);
        let server = Server::spawn(serve, folder.path());
        // By its other name, too.
        let registry = server.registry.replace("127.0.0.1", "localhost");
        let bundle = format!("{registry}/examples/lantern:v0.1.0");
        let binary = format!("{registry}/examples/binary:v1");
        let add = iib(&["add", "--wait", "--arch", "amd64", "--url", &server.api])
            .args(["--bundle", &bundle, "--binary-image", &binary])
            .env(variable, DEAD_PROXY)
            .output()
            .unwrap();
        assert!(add.status.success(), "{variable}: {}", text(&add.stderr));
        let render = iib(&["catalog", "render", &bundle])
            .env(variable, DEAD_PROXY)
            .env("IIB_INSECURE_REGISTRIES", &registry)
            .output()
            .unwrap();
        assert!(
            render.status.success(),
            "{variable}: {}",
            text(&render.stderr)
        );
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_and_not_shown() {
    let add = iib(&["add", "--bundle", "r.example/b:1"])
        .env("HTTPS_PROXY", "socks5://ann:hunter2@proxy.example:1080")
        .output()
        .unwrap();
    let told = text(&add.stderr);
    assert!(
        !add.status.success() && told.contains("HTTPS_PROXY"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_service_that_others_reach_asks_nothing_inside_but_what_is_named() {
    let folder = demo_folder();
    let serve = iib(&[
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--registry-listen",
        "127.0.0.1:0",
    ]);
    let server = Server::spawn(serve, folder.path());
    let add = |bundle: &str| {
        let binary = format!("{}/examples/binary:v1", server.registry);
        let add = iib(&["add", "--wait", "--arch", "amd64", "--url", &server.api])
            .args(["--bundle", bundle, "--binary-image", &binary])
            .output()
            .unwrap();
        (add.status.success(), text(&add.stdout) + &text(&add.stderr))
    };
    let (done, told) = add(&format!("{}/examples/lantern:v0.1.0", server.registry));
    assert!(done, "{told}");
    let (done, told) = add("127.0.0.1:1/examples/lantern:v0.1.0");
    assert!(!done, "{told}");
    for part in ["127.0.0.1:1", "registries.allowed"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn the_login_for_an_image_is_explained_without_its_secret() {
    let home = tempfile::tempdir().unwrap();
    let podman = home.path().join(".config/containers/auth.json");
    let docker = home.path().join(".docker/config.json");
    for path in [&podman, &docker] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
    }
    // base64 of "ann:hunter2"
    let entry = r#"{"auths":{"r.example/team":{"auth":"YW5uOmh1bnRlcjI="}}}"#;
    fs::write(&podman, entry).unwrap();
    fs::write(&docker, r#"{"auths":{}}"#).unwrap();
    let explain = |words: &[&str]| {
        let mut command = iib(&["auth", "explain"]);
        command
            .args(words)
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path());
        let output = command.output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(
            !said.contains("hunter2") && !said.contains("YW5u"),
            "{said}"
        );
        (output.status.code(), said)
    };
    let (code, said) = explain(&["r.example/team/app:v1"]);
    assert_eq!(code, Some(0), "{said}");
    let used = said.lines().find(|line| line.contains("<- used")).unwrap();
    assert!(used.contains(podman.to_str().unwrap()), "{said}");
    assert!(
        used.contains("`ann`") && used.contains("`r.example/team`"),
        "{said}"
    );

    let (code, said) = explain(&["r.example/other/app", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document["used"], Value::Null);
    assert_eq!(document["places"][2]["place"], docker.to_str().unwrap());
    assert_eq!(document["places"][2]["found"], "no_entry");

    let (code, said) = explain(&["no-registry"]);
    assert_eq!(code, Some(2), "{said}");
    fs::write(&podman, "{").unwrap();
    let (code, said) = explain(&["r.example/team/app:v1"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(podman.to_str().unwrap()), "{said}");
}

#[test]
fn a_variable_that_means_nothing_is_named() {
    let told = iib(&["serve", "--print-settings"])
        .env("IIB_INSECURE_REGISTRY", "x")
        .output()
        .unwrap();
    let said = text(&told.stderr);
    assert!(
        told.status.success() && said.contains("is IIB_INSECURE_REGISTRIES meant"),
        "{said}"
    );
}

#[test]
fn a_variable_that_is_empty_is_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = service();
    for name in [
        "IIB_CONFIG",
        "IIB_REGISTRY_LOGIN",
        "IIB_MAX_ATTEMPTS",
        "IIB_PUBLIC_URL",
    ] {
        serve.env(name, "");
    }
    let server = Server::spawn(serve, &folder.path().join("data"));
    let wait = iib(&["wait", "1", "--url", &server.api])
        .env("IIB_TOKEN", "")
        .output()
        .unwrap();
    let said = text(&wait.stderr);
    assert!(said.contains("404") || said.contains("not found"), "{said}");
}

#[test]
fn faults_of_settings_are_told_at_once_with_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(
        &file,
        "[api]\nhosts = [\"http://devbox\"]\nmax_per_pages = 1\n",
    )
    .unwrap();
    let ended = iib(&["serve", "--config", file.to_str().unwrap()])
        .env("IIB_MAX_ATTEMPTS", "many")
        .output()
        .unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    for part in [
        "settings.toml: api.hosts: `http://devbox` is not a host",
        "settings.toml: api.max_per_pages: there is no such setting: is api.max_per_page meant?",
        "IIB_MAX_ATTEMPTS (work.max_attempts): `many` is not a whole number",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_log_in_a_file_has_no_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let serve = service();
    let log = fs::File::create(&path).unwrap();
    let server = Server::logging_to(serve, &folder.path().join("data"), log.into());
    // One that is rejected, which is logged.
    let image = format!("{}/missing:v1", server.registry);
    let add = iib(&["add", "--wait", "--arch", "amd64", "--url", &server.api])
        .args(["--bundle", &image, "--binary-image", &image])
        .output()
        .unwrap();
    assert_eq!(add.status.code(), Some(1));
    let log = fs::read_to_string(&path).unwrap();
    assert!(log.contains("request rejected"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_reader_that_has_enough_ends_a_command_silently() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog.json");
    let packages = (0..20_000).map(|number| {
        format!("{{\"schema\": \"olm.package\", \"name\": \"package-{number}\", \"defaultChannel\": \"a\"}}\n")
    });
    fs::write(&catalog, packages.collect::<String>()).unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (catalog, empty) = (catalog.to_str().unwrap(), empty.to_str().unwrap());
    for words in [
        &["serve", "--print-settings"][..],
        &["auth", "explain", "r.example/a:v1"],
        &["catalog", "render", catalog],
        &["catalog", "render", catalog, "--json"],
        &["catalog", "diff", empty, catalog],
        &["catalog", "diff", empty, catalog, "--json"],
    ] {
        // Gone before the command begins, so that not even a short output finds anybody.
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let ended = iib(words).stdout(writer).output().unwrap();
        assert_eq!(ended.status.code(), Some(141), "{words:?}");
        let said = text(&ended.stderr).replace(&format!("{empty} has no package"), "");
        assert!(
            !said.contains("error") && !said.contains("panicked"),
            "{words:?}: {said}"
        );
        // What cannot be written for another reason is a failure, and told.
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let ended = iib(words).stdout(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{words:?}");
        assert!(text(&ended.stderr).contains("No space left"), "{words:?}");
    }
}
