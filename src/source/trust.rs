//! Whom to trust on the other end of TLS: the authorities of the system, and others that were named.

use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

/// The authorities that the system trusts. To read them costs more than a whole build's questions, so that it is done once, by who needs
/// them first.
static AUTHORITIES: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    authorities
});

/// Trusts the authorities of the system and these. Those of the system are read when a server shows a certificate: most registries that
/// are asked speak plain http, and answer the hello of TLS with none.
pub(super) fn trusting(others: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(Verifier { provider, others, known: OnceLock::new() });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

/// rustls' own verifier, made when it is needed.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    others: RootCertStore,
    known: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl Verifier {
    fn known(&self) -> Result<&WebPkiServerVerifier, Error> {
        let known = self.known.get_or_init(|| {
            let mut roots = AUTHORITIES.clone();
            roots.roots.extend(self.others.roots.iter().cloned());
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                // The only thing that can be wrong is that there is nobody to trust.
                .map_err(|_| Error::InvalidCertificate(CertificateError::UnknownIssuer))
        });
        known.as_ref().map(Arc::as_ref).map_err(Clone::clone)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.known()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.known()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
