//! Who does the cryptography of TLS connections.

/// Makes ring the provider of this process, unless it has one: our HTTP clients are built without one of their own and
/// panic where none is installed. May be called any number of times.
pub fn install_provider() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
