//! The server, from its start to its end.

mod certificate;
mod error;
mod losses;
mod parts;
mod server;

use std::sync::Arc;
use std::time::Duration;

use strongroom_s3::S3Service;

use crate::banner::Banner;
use crate::config::{RootKeys, Settings};
use crate::credentials;
use crate::files;
use crate::lock::DataDirLock;
use crate::tls;
use certificate::Certificate;
pub(crate) use error::StartError;
use server::{Server, Signals};

const REAP_INTERVAL: Duration = Duration::from_hours(1);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(settings: Settings) -> Result<(), StartError> {
    let _lock = prepare_directories(&settings)?;
    let root = Root::of(&settings)?;
    let certificate = Certificate::prepare(&settings)?;
    let tls = tls::server_config(Arc::clone(&certificate.present))?;
    let catalog = parts::open_catalog(&settings).await?;
    let keys = parts::open_kms(&settings, &*catalog).await?;
    let engine = parts::open_engine(&settings, &keys, Arc::clone(&catalog)).await?;
    let identities = Arc::new(parts::identities(root.keys(), &settings.users)?);
    let s3 = S3Service::new(Arc::clone(&engine), identities, parts::s3_options(&settings)?);
    let server = Server::bind(&settings, tls, s3, Arc::clone(&engine), Arc::clone(&catalog) as _).await?;
    let mut signals = Signals::listen()?;
    print_banner(&settings, &root, &certificate, &server);
    let background = [engine.start_sweeper(), tokio::spawn(certificate.keep()), tokio::spawn(parts::reap_keys(keys.cached, REAP_INTERVAL))];
    server.run(&mut signals, settings.limits.drain_timeout).await;
    background.iter().for_each(tokio::task::JoinHandle::abort);
    catalog.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Makes and locks the data directory, and makes the one for secrets outside of it.
fn prepare_directories(settings: &Settings) -> Result<DataDirLock, StartError> {
    let data_dir = &settings.data_dir;
    files::make_private_dir(data_dir)?;
    let lock = DataDirLock::acquire(data_dir)?;
    files::require_outside("the secrets directory", &settings.secrets_dir, data_dir)?;
    files::require_outside("the key directory", &settings.kms.key_dir, data_dir)?;
    files::require_outside("the master key file", &settings.kms.master_key_file, data_dir)?;
    files::make_private_dir(&settings.secrets_dir)?;
    files::require_private(&settings.secrets_dir)?;
    Ok(lock)
}

/// The root identity's keys, as configured or as made at the first start.
enum Root<'a> {
    Configured(&'a RootKeys),
    Generated(RootKeys),
}

impl<'a> Root<'a> {
    fn of(settings: &'a Settings) -> Result<Self, StartError> {
        match &settings.root {
            Some(keys) => Ok(Self::Configured(keys)),
            None => Ok(Self::Generated(credentials::load_or_create(&settings.secrets_dir.join("root-credentials"))?)),
        }
    }

    fn keys(&self) -> &RootKeys {
        match self {
            Self::Configured(keys) => keys,
            Self::Generated(keys) => keys,
        }
    }
}

fn print_banner(settings: &Settings, root: &Root<'_>, certificate: &Certificate, server: &Server) {
    let printed = server.addresses().and_then(|(s3, admin)| {
        let (ca, kms) = (certificate.ca(), &settings.kms);
        let banner = Banner {
            s3,
            admin,
            data_dir: &settings.data_dir,
            ca: ca.as_deref(),
            access_key: &root.keys().access_key,
            credentials: &root.keys().origin,
            are_generated: matches!(root, Root::Generated(_)),
            kms: kms.enabled.then_some((&kms.key_dir, &kms.default_key_id)),
            region: &settings.region,
        };
        banner.print()
    });
    // Nobody may be reading; that is no reason not to serve.
    if let Err(error) = printed {
        tracing::warn!(%error, "what is to be known of the server could not be printed");
    }
}
