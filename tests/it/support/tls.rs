//! TLS in front of a server of the tests: certificates of an authority that was made a moment ago, and handshakes that
//! go wrong.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;

const AUTHORITY: &str = "
[ca]
default_ca = this
[this]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = names
copy_extensions = copy
unique_subject = no
[names]
commonName = supplied
";
const KEY: [&str; 6] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-batch",
];

/// Who issues certificates; trusted by whoever is given its file.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("authority.cnf"), AUTHORITY).unwrap();
        fs::write(folder.path().join("index"), "").unwrap();
        let name = format!("/CN={name}");
        let mut arguments = vec!["req", "-x509", "-subj", &name];
        arguments.extend(["-days", "2", "-keyout", "authority.key"]);
        arguments.extend(["-out", "authority.crt"]);
        arguments.extend(KEY);
        openssl(folder.path(), &arguments);
        Self { folder }
    }

    /// Its own certificate, in PEM.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("authority.crt")
    }

    /// A server with a certificate for these names (`DNS:…`, `IP:…`), good from and to a day (`20300101`).
    pub fn front(&self, names: &str, from: &str, to: &str) -> Front {
        let names = format!("subjectAltName={names}");
        let mut arguments = vec!["req", "-subj", "/CN=server", "-addext", &names];
        arguments.extend(["-keyout", "server.key", "-out", "server.csr"]);
        arguments.extend(KEY);
        openssl(self.folder.path(), &arguments);
        let (from, to) = (format!("{from}000000Z"), format!("{to}000000Z"));
        let mut arguments = vec!["ca", "-batch", "-notext", "-config", "authority.cnf"];
        arguments.extend(["-cert", "authority.crt", "-keyfile", "authority.key"]);
        arguments.extend(["-in", "server.csr", "-out", "server.crt"]);
        arguments.extend(["-startdate", &from, "-enddate", &to]);
        openssl(self.folder.path(), &arguments);
        Front::of(self.folder.path())
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

/// How a server greets who speaks TLS.
#[derive(Clone)]
pub enum Front {
    /// As it should, with some certificate.
    Serving(Arc<ServerConfig>),
    /// With TLS 1.1, which is given up (RFC 8996).
    Old,
    /// With nothing: it hangs up as soon as it was greeted.
    Closing,
    /// In the clear, as if it were no TLS at all.
    Plain,
}

impl Front {
    fn of(folder: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(folder.join("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::Serving(Arc::new(config))
    }

    /// What is said through TLS, if it comes to that.
    pub fn accept(
        &self,
        mut stream: TcpStream,
    ) -> Option<StreamOwned<ServerConnection, TcpStream>> {
        if let Self::Serving(config) = self {
            let connection = ServerConnection::new(Arc::clone(config)).unwrap();
            return Some(StreamOwned::new(connection, stream));
        }
        let mut hello = [0; 4_096];
        let _ = stream.read(&mut hello);
        let answer: Vec<u8> = match self {
            Self::Old => {
                // A ServerHello (RFC 4346 §7.4.1.3): version, random, no session, a cipher suite, no compression.
                let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
                hello.extend([7; 32]);
                hello.extend([0, 0x00, 0x2f, 0]);
                hello
            }
            Self::Plain => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_vec()
            }
            Self::Closing | Self::Serving(_) => Vec::new(),
        };
        // Whoever was answered so may have gone.
        let _ = stream.write_all(&answer);
        None
    }
}
