//! Everything that runs, and what is left of it: nothing.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    application,
    browser::Browser,
    people::{self, Person},
    proxy::Proxy,
};
use crate::{
    address::Origin,
    app::App,
    cli::snippets::{self, Front, ProxyKind, Site, Upstream},
    clock::SystemClock,
    config::{self, Environment, Format, Settings},
    telemetry::{self, LineWriter},
};

/// How long all parts may take until they answer.
const READY: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is to be started.
pub(super) struct Plan {
    pub proxy: ProxyKind,
    pub program: PathBuf,
    pub port: u16,
    pub addresses: Vec<IpAddr>,
}

/// What a visitor needs to know.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// The name of the proxy.
    pub proxy: &'static str,
    /// Who can sign in: the first may see everything.
    pub people: [Person; 2],
    port: u16,
}

impl Scene {
    /// An address in it.
    pub fn url(&self, name: &str, path: &str) -> String {
        format!("http://{name}.localhost:{}{path}", self.port)
    }
}

/// All parts, running. What is dropped, ends: the proxy is killed, and the folder is removed last.
pub(super) struct House {
    proxy: Proxy,
    app: App,
    application: JoinSet<()>,
    scene: Scene,
    _log: LineWriter,
    folder: TempDir,
}

impl House {
    /// Starts all parts, and waits until they answer.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("vestibule-demo-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .context("cannot make a temporary folder")?;
        let settings = settings(&folder, plan.port)?;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&settings.keys.data_dir)
            .context("cannot make a temporary folder")?;
        let people = people::invite(&settings).context("cannot make the accounts")?;
        let output = fs::File::create(folder.path().join("vestibule.log"))
            .context("cannot write vestibule.log")?;
        let (logs, log) = telemetry::start_to(&settings.log, output)?;
        let decisions = logs.decisions(&settings.log);
        let app = App::start(&settings, decisions, Arc::new(SystemClock))?;
        let shown = application::Shown {
            pages: app.pages,
            port: plan.port,
        };
        let (upstream, server) = application::serve(shown)?;
        let mut application = JoinSet::new();
        application.spawn(async move {
            // That it ended is all that counts.
            let _ = server.await;
        });
        let site = site(plan, &app, upstream, &folder)?;
        let proxy = Proxy::start(plan.proxy, &plan.program, &site, folder.path()).await?;
        let mut house = Self {
            proxy,
            app,
            application,
            scene: Scene {
                proxy: plan.proxy.name(),
                people,
                port: plan.port,
            },
            _log: log,
            folder,
        };
        let ready = timeout(READY, wait_until_ready(house.app.metrics, plan.port));
        let outcome = tokio::select! {
            ready = ready => ready.map_err(|_| anyhow!("not all parts answer after {} seconds", READY.as_secs()))?,
            error = house.broken() => Err(error),
        };
        match outcome {
            Ok(()) => Ok(house),
            Err(error) => {
                house.stop().await;
                Err(error)
            }
        }
    }

    /// What a visitor needs to know.
    pub const fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Where the logs are.
    pub fn logs(&self) -> String {
        let ours = self.folder.path().join("vestibule.log");
        format!("{}, {}", ours.display(), self.proxy.log().display())
    }

    /// Returns when a part has ended by itself: which, and why.
    pub async fn broken(&mut self) -> anyhow::Error {
        tokio::select! {
            error = self.proxy.ended() => error,
            _ = self.application.join_next() => anyhow!("the application has ended"),
            () = self.app.ended() => anyhow!("Vestibule has ended"),
        }
    }

    /// Ends all parts, from the street inwards.
    pub async fn stop(mut self) {
        self.proxy.stop().await;
        self.application.shutdown().await;
        self.app.stop().await;
    }
}

/// An honest configuration: what is not in it cannot be configured otherwise either, but for who the accounts are for.
fn settings(folder: &TempDir, port: u16) -> Result<Settings> {
    let text = format!(
        "address: 127.0.0.1:0
verify_address: 127.0.0.1:0
metrics_address: 127.0.0.1:0
workers: 2
authenticate_service_url: http://auth.localhost:{port}
data_dir: data
session: {{ store: memory }}
identity_providers: [{{ provider: local }}]
jwt_claims_headers: [email, groups, name]
routes:
  - from: http://app.localhost:{port}
    allow_any_authenticated_user: true
  - from: http://admin.localhost:{port}
    allowed_groups: [admins]
"
    );
    let name = folder.path().join("vestibule.yaml");
    let name = name
        .to_str()
        .context("the temporary folder has a name that is not text")?;
    // What is set for an installation on this machine is not meant for this.
    let mut settings = config::load_text(name, Format::Yaml, &text, &Environment::default())
        .map_err(|problems| anyhow!("{problems}"))?
        .settings;
    if let Some(local) = &mut settings.local {
        local.is_demo = true;
    }
    Ok(settings)
}

fn site(plan: &Plan, app: &App, upstream: SocketAddr, folder: &TempDir) -> Result<Site> {
    let origin = |name: &str| Origin::parse(&format!("http://{name}.localhost:{}", plan.port));
    let application = |name: &str| {
        Ok(snippets::Application {
            origin: origin(name)?,
            upstream: Upstream::from(upstream),
        })
    };
    Ok(Site {
        applications: application::HOSTS
            .iter()
            .map(|name| application(name))
            .collect::<Result<_>>()?,
        authenticate: origin("auth")?,
        pages: app.pages,
        decisions: app.decisions.context("it decides nothing")?,
        front: Front::Loopback {
            addresses: plan.addresses.clone(),
            port: plan.port,
        },
        folder: Some(folder.path().display().to_string()),
    })
}

/// Until Vestibule knows its provider, and the proxy passes on what needs no permission.
async fn wait_until_ready(metrics: SocketAddr, port: u16) -> Result<()> {
    let browser = Browser::new()?;
    let front = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for (address, host, path) in [
        (metrics, metrics.to_string(), "/readyz"),
        (front, format!("auth.localhost:{port}"), "/ping"),
    ] {
        while !browser
            .get(address, &host, path)
            .await
            .is_ok_and(|answer| answer.status == 200)
        {
            sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}
