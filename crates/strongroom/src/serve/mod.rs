//! The server, from its start to its end.

mod audit;
mod certificate;
mod error;
mod keys;
mod losses;
mod parts;
mod server;
mod space;

use std::sync::Arc;

use strongroom_engine::Engine;
use strongroom_s3::S3Service;

use crate::admin_api::AdminApi;
use crate::banner::Banner;
use crate::config::{MasterKey, RootKeys, Settings};
use crate::credentials;
use crate::files;
use crate::lock::DataDirLock;
use crate::observed::Observed;
use crate::tls;
use certificate::Certificate;
pub(crate) use error::StartError;
use server::{Server, Signals};
use space::Plan;

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(settings: Settings) -> Result<(), StartError> {
    let _lock = prepare_directories(&settings)?;
    let root = Root::of(&settings)?;
    let certificate = Certificate::prepare(&settings)?;
    let tls = tls::server_config(Arc::clone(&certificate.present))?;
    let plan = Plan::of(&settings);
    let catalog = parts::open_catalog(&settings, &plan).await?;
    let keys = keys::open(&settings, Arc::clone(&catalog) as _).await?;
    let audit = audit::open(&settings, plan.audit_reserve_bytes(), &keys.settings).await?;
    let iam = parts::iam(root.keys(), &settings, &keys, Arc::clone(&catalog) as _, &audit).await?;
    if let Some(what) = iam.taken_twice().await? {
        return Err(StartError::TakenTwice(what));
    }
    let space = plan.space(&catalog, &audit);
    let owned = parts::owned_keys(&keys, Arc::clone(&catalog) as _).await?;
    let who = (Arc::clone(&iam) as _, Arc::clone(&owned));
    let engine = parts::open_engine(&settings, &keys, space, Arc::clone(&catalog) as _, Arc::clone(&audit), who).await?;
    let deliveries = parts::deliveries(&settings).await?;
    let admin = parts::admin(&keys, &engine, &audit, &deliveries, (&iam, owned));
    let s3 = S3Service::new(Arc::clone(&engine), Arc::clone(&iam) as _, parts::s3_options(&settings)?);
    let s3 = s3.with_admin(Arc::new(AdminApi(Arc::clone(&admin)))).with_iam(Arc::clone(&iam));
    let observed = Observed {
        engine: Arc::clone(&engine),
        catalog: Arc::clone(&catalog),
        keyring: Arc::clone(&keys.keyring),
        audit: Arc::clone(&audit),
        deliveries: Arc::clone(&deliveries),
        admin: Arc::clone(&admin),
    };
    let server = Server::bind(&settings, tls, s3, observed, Arc::clone(&catalog) as _).await?;
    let mut signals = Signals::listen()?;
    print_banner(&settings, &root, &certificate, &server);
    convert_former_buckets(&engine).await;
    engine.resume_rekeys().await?;
    engine.resume_lifecycle().await?;
    deliveries.start(&engine);
    let background = [
        engine.start_sweeper(),
        engine.start_orphan_sweeper(),
        engine.start_space_watch(),
        engine.start_lifecycle_schedule(),
        tokio::spawn(certificate.keep()),
        admin.start_background(),
        iam.start_background(),
        tokio::spawn(audit::keep_anchor(Arc::clone(&audit), Arc::clone(&keys.settings))),
    ];
    server.run(&mut signals, settings.limits.drain_timeout).await;
    background.iter().for_each(tokio::task::JoinHandle::abort);
    engine.pause_rekeys().await;
    engine.pause_lifecycle().await;
    deliveries.stop().await;
    iam.write_uses().await;
    audit::close(&audit, &keys.settings).await;
    catalog.close().await;
    plan.close();
    tracing::info!("stopped");
    Ok(())
}

/// Makes and locks the data directory, and makes the one for secrets outside of it.
fn prepare_directories(settings: &Settings) -> Result<DataDirLock, StartError> {
    let data_dir = &settings.data_dir;
    files::make_private_dir(data_dir)?;
    files::require_private_dir(data_dir)?;
    let lock = DataDirLock::acquire(data_dir)?;
    files::require_outside("the secrets directory", &settings.secrets_dir, data_dir)?;
    files::require_outside("the key directory", &settings.kms.key_dir, data_dir)?;
    if let MasterKey::File(path) = &settings.kms.master {
        files::require_outside("the master key file", path, data_dir)?;
    }
    for target in &settings.notification_targets {
        files::require_outside("the secret of a notification target", &target.secret_file, data_dir)?;
    }
    files::make_private_dir(&settings.secrets_dir)?;
    files::require_private_dir(&settings.secrets_dir)?;
    files::make_private_dir(&settings.audit.dir)?;
    files::require_private_dir(&settings.audit.dir)?;
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
        let default_key_id = kms.default_key_id().filter(|_| kms.is_local());
        let banner = Banner {
            s3,
            admin,
            data_dir: &settings.data_dir,
            ca: ca.as_deref(),
            access_key: &root.keys().access_key,
            credentials: &root.keys().origin,
            are_generated: matches!(root, Root::Generated(_)),
            kms: default_key_id.map(|key_id| (kms.key_dir.as_path(), key_id)),
            region: &settings.region,
        };
        banner.print()
    });
    // Nobody may be reading; that is no reason not to serve.
    if let Err(error) = printed {
        tracing::warn!(%error, "the addresses and first steps could not be printed");
    }
}

/// What an earlier release wrote is read as it is, so a store that cannot be written to now serves all the same.
async fn convert_former_buckets(engine: &Engine) {
    match engine.convert_former_buckets().await {
        Ok(0) => {}
        Ok(buckets) => tracing::info!(buckets, "buckets of an earlier release were brought up to date"),
        Err(error) => tracing::warn!(%error, "buckets of an earlier release are read as they are: they could not be brought up to date"),
    }
}
