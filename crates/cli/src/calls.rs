//! Each command as the one request that it makes.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::args::{BackendCommand, ConfigureArgs, GrantArgs, GrantCommand, KeyCommand, KeyPolicyCommand, KmsCommand};
use crate::error::Error;
use crate::profile::read_private;

/// Longest configuration or key file in bytes.
const MAX_FILE_LEN: u64 = 1 << 20;
/// Longest bundle in bytes.
const MAX_BUNDLE_LEN: u64 = 48 << 20;

/// A request of the admin API, below its base path.
pub(crate) struct Call {
    /// What it administers: `kms` or `iam`.
    pub(crate) area: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Option<Value>,
}

impl Call {
    pub(crate) fn new(method: &'static str, path: &[&str], body: Option<Value>) -> Self {
        Self { area: "kms", method, path: path.iter().map(|part| (*part).to_owned()).collect(), query: Vec::new(), body }
    }

    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new("GET", path, None)
    }

    pub(crate) fn post(path: &[&str], body: Value) -> Self {
        Self::new("POST", path, Some(body))
    }

    /// A call of identity management.
    pub(crate) fn iam(action: &str, params: Value) -> Self {
        Self { area: "iam", ..Self::post(&[action], params) }
    }

    pub(crate) fn with_query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The request of a command; re-keying has its own, see [`crate::rekey`].
pub(crate) fn of(command: &KmsCommand, backend: Option<&str>) -> Result<Call, Error> {
    let bare = |name: &str| Call::new("POST", &[name], None);
    let call = match command {
        KmsCommand::Status => Call::get(&["status"]),
        KmsCommand::Config => Call::get(&["config"]),
        KmsCommand::Configure(args) => Call::post(&["configure"], configuration(args)?),
        KmsCommand::Reconfigure(args) => Call::post(&["reconfigure"], configuration(args)?),
        KmsCommand::Start => bare("start"),
        KmsCommand::Stop => bare("stop"),
        KmsCommand::Seal => bare("seal"),
        KmsCommand::Unseal => bare("unseal"),
        KmsCommand::ClearCache => bare("clear-cache"),
        KmsCommand::Backend(BackendCommand::List) => Call::get(&["backends"]),
        KmsCommand::Backend(BackendCommand::Remove { name }) => Call::new("DELETE", &["backends", name], None),
        KmsCommand::Key(command) => of_key(command)?,
        KmsCommand::Backup { passphrase_file, .. } => {
            Call::post(&["backup"], json!({ "passphrase": read_private(passphrase_file)?.trim_end() }))
        }
        KmsCommand::Restore { file, passphrase_file, dry_run } => {
            let bundle = STANDARD.encode(read(file, MAX_BUNDLE_LEN)?.as_slice());
            Call::post(
                &["restore"],
                json!({ "passphrase": read_private(passphrase_file)?.trim_end(), "bundle": bundle, "dry_run": dry_run }),
            )
        }
        KmsCommand::Receipts => Call::get(&["receipts"]),
        KmsCommand::Rekey(_) => return Err(Error::Usage("re-keying makes its own requests".to_owned())),
    };
    Ok(match (backend, command) {
        (Some(_), KmsCommand::Key(KeyCommand::Grant(GrantCommand::Retirable { .. }))) => call,
        (Some(name), KmsCommand::Key(_)) => call.with_query("backend", name),
        _ => call,
    })
}

fn of_key(command: &KeyCommand) -> Result<Call, Error> {
    let change = |name: &str, key_id: &str| Call::post(&["keys", name], json!({ "key_id": key_id }));
    Ok(match command {
        KeyCommand::Create { key, owner, policy, bypass_lockout_check } => {
            let mut body = new_key(key.name.as_deref(), &key.description, &key.tags);
            if let Some(owner) = owner {
                body["Owner"] = json!(owner);
            }
            if let Some(file) = policy {
                body["Policy"] = json!(read_text(file)?);
                body["BypassPolicyLockoutSafetyCheck"] = json!(bypass_lockout_check);
            }
            Call::post(&["keys"], body)
        }
        KeyCommand::Policy(KeyPolicyCommand::Get(key)) => Call::get(&["keys", &key.key_id, "policy"]),
        KeyCommand::Policy(KeyPolicyCommand::Put { key, file, bypass_lockout_check }) => {
            let body = json!({
                "key_id": key.key_id, "policy": read_text(file)?, "bypass_policy_lockout_safety_check": bypass_lockout_check
            });
            Call::post(&["keys", "policy"], body)
        }
        KeyCommand::Grant(command) => of_grant(command),
        KeyCommand::Import { key, material_file } => {
            let mut body = new_key(key.name.as_deref(), &key.description, &key.tags);
            body["material"] = json!(material(material_file)?.as_str());
            Call::post(&["keys", "import"], body)
        }
        KeyCommand::List => Call::get(&["keys"]),
        KeyCommand::Describe(key) => Call::get(&["keys", &key.key_id]),
        KeyCommand::Usage(key) => Call::get(&["keys", &key.key_id, "usage"]),
        KeyCommand::InUse => Call::get(&["keys", "in-use"]),
        KeyCommand::Enable(key) => change("enable", &key.key_id),
        KeyCommand::Disable(key) => change("disable", &key.key_id),
        KeyCommand::Rotate { key, every_days: None, never: false } => change("rotate", &key.key_id),
        KeyCommand::Rotate { key, every_days, .. } => {
            Call::post(&["keys", "rotation"], json!({ "key_id": key.key_id, "rotate_every_days": every_days }))
        }
        KeyCommand::Seal(key) => change("seal", &key.key_id),
        KeyCommand::Unseal(key) => change("unseal", &key.key_id),
        KeyCommand::Tag { key, tags } => Call::post(&["keys", "tag"], json!({ "key_id": key.key_id, "tags": pairs(tags) })),
        KeyCommand::Untag { key, names } => Call::post(&["keys", "untag"], json!({ "key_id": key.key_id, "tag_keys": names })),
        KeyCommand::UpdateDescription { key, description } => {
            Call::post(&["keys", "update-description"], json!({ "key_id": key.key_id, "description": description }))
        }
        KeyCommand::Delete { key, now: true, confirm, destroy_locked, .. } => {
            let mut body = json!({ "key_id": key.key_id, "force_immediate": true, "confirm_key_id": confirm });
            if *destroy_locked {
                body["destroy_locked"] = json!(true);
            }
            Call::new("DELETE", &["keys", "delete"], Some(body))
        }
        KeyCommand::Delete { key, pending_days, .. } => {
            let body = json!({ "key_id": key.key_id, "pending_window_in_days": pending_days });
            Call::new("DELETE", &["keys", "delete"], Some(body))
        }
        KeyCommand::CancelDeletion(key) => change("cancel-deletion", &key.key_id),
    })
}

fn of_grant(command: &GrantCommand) -> Call {
    let named = |GrantArgs { key, grant_id }: &GrantArgs| json!({ "key_id": key.key_id, "grant_id": grant_id });
    match command {
        GrantCommand::Create { key, to, operations, retiring, context, exact, name } => {
            let mut body = json!({ "key_id": key.key_id, "grantee_principal": to, "operations": operations });
            for (field, value) in [("retiring_principal", retiring), ("name", name)] {
                if let Some(value) = value {
                    body[field] = json!(value);
                }
            }
            if !context.is_empty() {
                let constraint = if *exact { "encryption_context_equals" } else { "encryption_context_subset" };
                body["constraints"] = json!({ constraint: pairs(context) });
            }
            Call::post(&["keys", "grants"], body)
        }
        GrantCommand::List(key) => Call::get(&["keys", &key.key_id, "grants"]),
        GrantCommand::Retirable { principal } => Call::get(&["grants", "retirable"]).with_query("retiring_principal", principal),
        GrantCommand::Revoke(grant) => Call::post(&["keys", "grants", "revoke"], named(grant)),
        GrantCommand::Retire(grant) => Call::post(&["keys", "grants", "retire"], named(grant)),
    }
}

fn new_key(name: Option<&str>, description: &str, tags: &[(String, String)]) -> Value {
    let mut body = json!({ "Description": description, "Tags": pairs(tags) });
    if let Some(name) = name {
        body["name"] = json!(name);
    }
    body
}

fn pairs(tags: &[(String, String)]) -> Value {
    tags.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect::<Map<_, _>>().into()
}

/// The fields of the file, then those of the arguments.
fn configuration(args: &ConfigureArgs) -> Result<Value, Error> {
    let mut fields = match &args.file {
        None => Map::new(),
        Some(path) => {
            let text = if path.as_os_str() == "-" { read_input()? } else { read(path, MAX_FILE_LEN)? };
            // The parser's message says where, and quotes nothing of the file.
            serde_json::from_slice(&text).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))?
        }
    };
    let named = [("backend_type", &args.backend_type), ("name", &args.name), ("default_key_id", &args.default_key_id)];
    for (name, value) in named {
        if let Some(value) = value {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    fields.extend(args.fields.iter().cloned());
    Ok(fields.into())
}

/// 32 bytes, as base64.
fn material(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bytes = read(path, MAX_FILE_LEN)?;
    let raw = if bytes.len() == 32 {
        Some(bytes)
    } else {
        STANDARD.decode(bytes.trim_ascii()).ok().map(Zeroizing::new).filter(|raw| raw.len() == 32)
    };
    let raw = raw.ok_or_else(|| Error::Usage(format!("{} does not hold 32 bytes, raw or in base64", path.display())))?;
    Ok(Zeroizing::new(STANDARD.encode(raw.as_slice())))
}

/// The text of a file, or of standard input where the file is `-`.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    let bytes = if path.as_os_str() == "-" { read_input()? } else { read(path, MAX_FILE_LEN)? };
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Usage(format!("{} is not UTF-8", path.display())))
}

fn read(path: &Path, max_len: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    bounded(std::fs::File::open(path).map_err(failed)?, max_len).map_err(failed)
}

fn read_input() -> Result<Zeroizing<Vec<u8>>, Error> {
    bounded(std::io::stdin().lock(), MAX_FILE_LEN).map_err(|source| Error::File { path: "standard input".into(), source })
}

fn bounded(from: impl std::io::Read, max_len: u64) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(max_len + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_len { Err(std::io::Error::other(format!("it is longer than {max_len} bytes"))) } else { Ok(bytes) }
}
