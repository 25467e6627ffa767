//! `iib serve`.

use std::net::SocketAddr;

use iib_edge::config::{Config, DEFAULTS, environment};
use iib_edge::telemetry::{self, LogFormat};

use tokio_util::sync::CancellationToken;

use crate::Exit;
use crate::cli::{Login, ServeOptions};
use crate::say;
use crate::service::{Service, ServiceOptions};

/// What it means to listen for others without asking who they are.
const OPEN: &str = "\
WARNING: this address can be reached from other machines, and nobody has to log in. Whoever reaches it
can have images read and pushed with the logins of this service, and can read all requests and logs.
Listen on 127.0.0.1, or see to it that only those reach it who may.";

/// What it means to say who users are, and to ask nobody.
const NOBODY_ASKED: &str = "\
WARNING: the settings say who users are, and nobody has to be one: whoever gives no name may send and change
requests. Set IIB_LOGIN_DISABLED=false to keep them out.";

/// The same of the small registry.
const OPEN_REGISTRY: &str = "\
WARNING: the small registry can be reached from other machines and asks for no login: whoever reaches it can
replace what is in it. Give it one with --registry-login, or let it listen on 127.0.0.1.";

pub(crate) async fn run(options: &ServeOptions) -> anyhow::Result<Exit> {
    if options.print_settings {
        say::text(DEFAULTS)?;
        return Ok(Exit::Done);
    }
    let format = if options.json_logs {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    let mut config = Config::load(options.config.as_deref(), &environment())?;
    let traces = telemetry::start(&config, format, "iib-serve")?;
    let registry_login = options.registry_login.as_ref();
    let registry_login = registry_login.map(Login::read).transpose()?;
    if let Some(folder) = &options.data_folder {
        config.data_folder.clone_from(folder);
    }
    let open = config.api.login_disabled;
    let api = &config.api;
    let names_users = api.jwt_issuer.is_some() || api.trusted_user_header.is_some();
    let folder = config.data_folder.display().to_string();
    // From here on a stop is one that was asked for, also while what waits is still looked through: so signals are
    // listened for before anything else.
    let mut stopped = std::pin::pin!(asked_to_stop());
    let starting = Service::start(ServiceOptions {
        config,
        listen: options.listen,
        registry_listen: options.registry_listen,
        registry_login,
    });
    let over = CancellationToken::new();
    let sending = tokio::spawn(traces.keep_sending(over.clone().cancelled_owned()));
    let mut service = tokio::select! {
        biased;
        () = &mut stopped => return Ok(Exit::Done),
        service = starting => service?,
    };
    say::line(format_args!("api       http://{}/api/v1", service.api))?;
    let is_reached = |at: SocketAddr| !at.ip().to_canonical().is_loopback();
    if open && is_reached(service.api) {
        say::aside(OPEN);
    }
    if open && names_users {
        say::aside(NOBODY_ASKED);
    }
    if options.registry_login.is_none() && service.registry.is_some_and(is_reached) {
        say::aside(OPEN_REGISTRY);
    }
    if let Some(registry) = service.registry {
        say::line(format_args!("registry  {registry} (plain HTTP)"))?;
    }
    say::line(format_args!("data      {folder}"))?;
    tokio::select! {
        () = stopped => tracing::info!("stopping; running stages may end first"),
        error = service.failed() => return Err(error),
    }
    service.stop().await?;
    over.cancel();
    sending.await?;
    Ok(Exit::Done)
}

/// Ctrl-C, or what a service supervisor sends.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        // Without the signal, Ctrl-C still works; if that cannot be had either, end at once.
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
