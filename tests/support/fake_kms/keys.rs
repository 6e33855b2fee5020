//! Keys of the fake: AES-256-GCM with the context as associated data, several versions; or RSA-OAEP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use serde_json::{Value, json};

use super::{base64, from_base64};

/// The code of an error.
pub type Refusal = &'static str;
pub type Context = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Enabled,
    Disabled,
    PendingDeletion,
    PendingImport,
    Unavailable,
}

#[derive(Clone)]
pub struct Key {
    pub arn: String,
    pub state: KeyState,
    material: Arc<Material>,
    description: String,
    deletion: Option<u64>,
}

enum Material {
    /// One key a version; the last one encrypts.
    Symmetric(Vec<[u8; 32]>),
    Rsa(PrivateDecryptingKey, u32),
}

impl Key {
    pub fn create(region: &str, body: &Value) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let id = if body["MultiRegion"] == true {
            format!("mrk-{number:032x}")
        } else {
            format!("00000000-0000-4000-8000-{number:012x}")
        };
        let arn = format!("arn:aws:kms:{region}:111122223333:key/{id}");
        let spec = body["KeySpec"].as_str().unwrap_or("SYMMETRIC_DEFAULT");
        let mut key = Self::symmetric(arn);
        if let Some(bits) = spec.strip_prefix("RSA_") {
            let bits = bits.parse().expect("a number of bits");
            let size = match bits {
                2048 => KeySize::Rsa2048,
                3072 => KeySize::Rsa3072,
                _ => KeySize::Rsa4096,
            };
            let private = PrivateDecryptingKey::generate(size).expect("a size that KMS has");
            key.material = Arc::new(Material::Rsa(private, bits));
        }
        key.description = body["Description"].as_str().unwrap_or_default().to_owned();
        key
    }

    pub fn symmetric(arn: String) -> Self {
        let material = Arc::new(Material::Symmetric(vec![random()]));
        Self { arn, state: KeyState::Enabled, material, description: String::new(), deletion: None }
    }

    pub fn region(&self) -> &str {
        self.arn.split(':').nth(3).expect("an ARN")
    }

    pub fn replica(&self, region: &str) -> Self {
        let arn = self.arn.replacen(self.region(), region, 1);
        Self { arn, ..self.clone() }
    }

    pub fn rotate(&mut self) {
        if let Material::Symmetric(versions) = &*self.material {
            let mut versions = versions.clone();
            versions.push(random());
            self.material = Arc::new(Material::Symmetric(versions));
        }
    }

    pub fn metadata(&self) -> Value {
        let mut metadata = json!({
            "AWSAccountId": "111122223333", "KeyId": self.arn.rsplit('/').next(), "Arn": self.arn,
            "Description": self.description, "Enabled": self.state == KeyState::Enabled,
            "KeyState": format!("{:?}", self.state), "KeyUsage": "ENCRYPT_DECRYPT",
        });
        if let Some(date) = self.deletion {
            metadata["DeletionDate"] = json!(date);
        }
        metadata
    }

    pub fn change_state(&mut self, state: KeyState) -> Result<Value, Refusal> {
        if self.state == KeyState::PendingDeletion {
            return Err("KMSInvalidStateException");
        }
        self.state = state;
        Ok(json!({}))
    }

    pub fn schedule_deletion(&mut self, body: &Value) -> Result<Value, Refusal> {
        if self.state == KeyState::PendingDeletion {
            return Err("KMSInvalidStateException");
        }
        let days = body["PendingWindowInDays"].as_u64().unwrap_or(30);
        if !(7..=30).contains(&days) {
            return Err("ValidationException");
        }
        let date = SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60);
        let date = date.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        (self.state, self.deletion) = (KeyState::PendingDeletion, Some(date));
        Ok(json!({ "KeyId": self.arn, "DeletionDate": date, "PendingWindowInDays": days }))
    }

    pub fn public_key(&self) -> Option<Vec<u8>> {
        let Material::Rsa(private, _) = &*self.material else { return None };
        let spki: PublicKeyX509Der<'_> = private.public_key().as_der().expect("a public key has a DER form");
        Some(spki.as_ref().to_vec())
    }

    pub fn describe_public_key(&self) -> Result<Value, Refusal> {
        let (Some(spki), Material::Rsa(_, bits)) = (self.public_key(), &*self.material) else {
            return Err("UnsupportedOperationException");
        };
        Ok(json!({
            "KeyId": self.arn, "PublicKey": base64(&spki), "KeySpec": format!("RSA_{bits}"),
            "KeyUsage": "ENCRYPT_DECRYPT", "EncryptionAlgorithms": ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"],
        }))
    }

    /// `Encrypt`, `Decrypt` or `GenerateDataKey`.
    pub fn use_for(&self, action: &str, body: &Value) -> Result<Value, Refusal> {
        match self.state {
            KeyState::Enabled => {}
            KeyState::Disabled => return Err("DisabledException"),
            _ => return Err("KMSInvalidStateException"),
        }
        let context = context_of(body);
        match action {
            "Encrypt" => {
                let plaintext =
                    from_base64(&body["Plaintext"]).filter(|bytes| (1..=4096).contains(&bytes.len()));
                let blob = self.encrypt(&plaintext.ok_or("ValidationException")?, &context);
                Ok(json!({ "KeyId": self.arn, "CiphertextBlob": base64(&blob) }))
            }
            "GenerateDataKey" => {
                if matches!(&*self.material, Material::Rsa(..)) || body["KeySpec"] != "AES_256" {
                    return Err("InvalidKeyUsageException");
                }
                let key: [u8; 32] = random();
                let blob = base64(&self.encrypt(&key, &context));
                Ok(json!({ "KeyId": self.arn, "Plaintext": base64(&key), "CiphertextBlob": blob }))
            }
            _ => {
                let modifiers = body["DryRunModifiers"].as_array().cloned().unwrap_or_default();
                if body["DryRun"] == true && modifiers.contains(&json!("IGNORE_CIPHERTEXT")) {
                    return Ok(json!({ "KeyId": self.arn }));
                }
                let blob =
                    from_base64(&body["CiphertextBlob"]).filter(|blob| (1..=6144).contains(&blob.len()));
                let blob = blob.ok_or("ValidationException")?;
                let is_rsa = body["EncryptionAlgorithm"] == "RSAES_OAEP_SHA_256";
                if is_rsa != matches!(&*self.material, Material::Rsa(..)) {
                    return Err("InvalidKeyUsageException");
                }
                let plaintext = self.decrypt(&blob, &context)?;
                Ok(json!({ "KeyId": self.arn, "Plaintext": base64(&plaintext) }))
            }
        }
    }

    /// Which key, which version, nonce, ciphertext and tag.
    pub fn encrypt(&self, plaintext: &[u8], context: &Context) -> Vec<u8> {
        let Material::Symmetric(versions) = &*self.material else {
            panic!("the fake encrypts with symmetric keys only")
        };
        let version = u8::try_from(versions.len() - 1).expect("few rotations");
        let nonce: [u8; 12] = random();
        let mut start = self.name();
        start.push(version);
        let mut sealed = plaintext.to_vec();
        let aad = Aad::from(aad(&start, context));
        let key = cipher(versions.last().expect("one version at least"));
        key.seal_in_place_append_tag(Nonce::from(&nonce), aad, &mut sealed).expect("short");
        [&start[..], &nonce, &sealed].concat()
    }

    fn decrypt(&self, blob: &[u8], context: &Context) -> Result<Vec<u8>, Refusal> {
        const WRONG: Refusal = "InvalidCiphertextException";
        let versions = match &*self.material {
            Material::Symmetric(versions) => versions,
            Material::Rsa(private, _) => {
                let private = OaepPrivateDecryptingKey::new(private.clone()).expect("an RSA key");
                let mut out = vec![0; private.min_output_size()];
                let opened = private.decrypt(&OAEP_SHA256_MGF1SHA256, blob, &mut out, None);
                return opened.map(|key| key.to_vec()).map_err(|_| WRONG);
            }
        };
        let (start, rest) = blob.split_at_checked(17).ok_or(WRONG)?;
        let (nonce, sealed) = rest.split_first_chunk::<12>().ok_or(WRONG)?;
        if start[..16] != self.name() {
            return Err("IncorrectKeyException");
        }
        let key = cipher(versions.get(usize::from(start[16])).ok_or(WRONG)?);
        let mut opened = sealed.to_vec();
        let aad = Aad::from(aad(start, context));
        let opened = key.open_in_place(Nonce::from(nonce), aad, &mut opened).map_err(|_| WRONG)?;
        Ok(opened.to_vec())
    }

    /// 16 bytes that replicas share.
    fn name(&self) -> Vec<u8> {
        let id = self.arn.rsplit('/').next().expect("an ARN");
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id.as_bytes()).as_ref()[..16].to_vec()
    }
}

fn aad(start: &[u8], context: &Context) -> Vec<u8> {
    let pairs = serde_json::to_vec(context).expect("strings");
    [start, &pairs[..]].concat()
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
}

pub fn context_of(body: &Value) -> Context {
    let pairs = body["EncryptionContext"].as_object().cloned().unwrap_or_default();
    pairs.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned())).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random source");
    bytes
}
