//! One order at an authority: account, proof for each name, request, certificate. Knows no times but how long an authority may
//! take for each step, and leaves nothing behind but the account.

use std::fmt;
use std::io;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use super::directory::{Away, Directory};
use super::{Acme, Proof};
use crate::tls;

/// How an order is looked at again while the authority works on it.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(60));

/// Why there is no certificate.
#[derive(Debug)]
pub(super) enum Failed {
    /// The authority could not be asked; it may go well soon.
    Away(String),
    /// It said no, or something here is wrong.
    Refused(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Away(why) | Self::Refused(why)) = self;
        f.write_str(why)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Other(other) if other.is::<Away>() => Self::Away(other.to_string()),
            Error::Timeout(_) => Self::Away(error.to_string()),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<rcgen::Error> for Failed {
    fn from(error: rcgen::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Orders; gives key and chain as PEM.
pub(super) async fn order(acme: &Acme) -> Result<String, Failed> {
    let names = acme.settings.names();
    let account = account(acme).await?;
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = match account.new_order(&NewOrder::new(&identifiers)).await {
        Err(Error::Api(problem))
            if problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":accountDoesNotExist")) =>
        {
            // A test authority that was started again, most likely. The next order makes an account.
            acme.kept.forget_account()?;
            return Err(Failed::Away("the authority knows our account no more".into()));
        }
        order => order?,
    };
    let proved = prove(acme, &mut order).await;
    // Whatever came of it, it is not asked for again.
    acme.answers.0.write().clear();
    names.iter().for_each(|name| acme.certificate.prove(name, None));
    proved?;

    // The request: a new key each time.
    let key = KeyPair::generate()?;
    let mut asked = CertificateParams::new(names)?;
    asked.distinguished_name = DistinguishedName::new();
    order.finalize_csr(asked.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

async fn account(acme: &Acme) -> Result<Account, Failed> {
    let settings = &acme.settings;
    let builder = Account::builder_with_http(Box::new(Directory::new(settings)?));
    if let Some(credentials) = acme.kept.account(&settings.directory)? {
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact: Vec<String> = settings.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new =
        NewAccount { contact: &contact, terms_of_service_agreed: settings.terms_agreed, only_return_existing: false };
    let (account, credentials) = builder.create(&new, settings.directory.clone(), None).await?;
    acme.kept.keep_account(&settings.directory, credentials)?;
    Ok(account)
}

/// Makes the authority see that every name leads here.
async fn prove(acme: &Acme, order: &mut Order) -> Result<(), Failed> {
    let kind = match acme.settings.challenge {
        Proof::TlsAlpn01 => ChallengeType::TlsAlpn01,
        Proof::Http01 => ChallengeType::Http01,
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            // Proved a while ago; authorities remember for some time.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(Failed::Refused(format!("an authorization is {status:?}"))),
        }
        let mut challenge = authorization
            .challenge(kind.clone())
            .ok_or_else(|| Failed::Refused("the authority does not offer tls.acme.challenge".into()))?;
        answer(acme, &challenge)?;
        challenge.set_ready().await?;
    }
    match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready) => Ok(()),
        Ok(_) | Err(Error::Api(_)) => Err(Failed::Refused(why(order).await)),
        Err(other) => Err(other.into()),
    }
}

fn answer(acme: &Acme, challenge: &ChallengeHandle<'_>) -> Result<(), Failed> {
    let authorization = challenge.key_authorization();
    match acme.settings.challenge {
        Proof::Http01 => {
            let mut answers = acme.answers.0.write();
            answers.insert(challenge.token.clone(), authorization.as_str().to_owned());
        }
        Proof::TlsAlpn01 => {
            let name = challenge.identifier().to_string();
            let mut asked = CertificateParams::new([name.clone()])?;
            asked.custom_extensions.push(CustomExtension::new_acme_identifier(authorization.digest().as_ref()));
            let key = KeyPair::generate()?;
            let proof = asked.self_signed(&key)?;
            let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
            let proof = tls::unchecked(proof.der().clone(), key.into());
            acme.certificate.prove(&name, Some(proof.map_err(|e| Failed::Refused(e.to_string()))?));
        }
    }
    Ok(())
}

/// What the authority found wrong about which name.
async fn why(order: &mut Order) -> String {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let name = state.identifier().to_string();
        for problem in state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()) {
            found.push(format!("{name}: {problem}"));
        }
    }
    if found.is_empty() { "the order became invalid".into() } else { found.join("; ") }
}
