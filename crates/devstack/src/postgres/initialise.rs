//! Makes the data directory of a new server.

use std::{
    fs::{self, DirBuilder, File},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use super::{
    DATABASE, Durability, Major, PostgresError, PostgresOptions, PostgresPackage, SUPERUSER,
    account::Account, instance::Instance,
};

/// Who may connect: with a password, over loopback. A replica does so too.
const CLIENT_AUTHENTICATION: &str = "# Written by kubernaut when it made this data directory.\n\
    host all all 127.0.0.1/32 scram-sha-256\n\
    host replication all 127.0.0.1/32 scram-sha-256\n";

/// A server's directory while no server runs in it.
pub(super) struct Offline<'a> {
    pub(super) package: &'a PostgresPackage,
    pub(super) options: &'a PostgresOptions,
    pub(super) account: &'a Account,
    pub(super) instance: &'a Instance,
}

impl Offline<'_> {
    /// Makes the data directory, with the superuser and the database. It appears when it is complete.
    pub(super) fn initialise(&self) -> Result<(), PostgresError> {
        let instance = self.instance;
        let password = match instance.password()? {
            Some(password) => password,
            None => instance.make_password()?,
        };
        let new = self.make_new_data()?;
        self.initdb(&new)?;
        let path = new.join("pg_hba.conf");
        File::create(&path)
            .and_then(|mut file| {
                file.write_all(CLIENT_AUTHENTICATION.as_bytes())?;
                file.sync_all()
            })
            .map_err(PostgresError::io("write", &path))?;
        self.set_password(&new, &password)?;
        self.execute(&new, &format!("CREATE DATABASE {DATABASE}"), &password)?;
        self.complete(&new)
    }

    /// Makes the data directory a copy of a running server's that follows it from then on. The superuser has the same
    /// password.
    pub(super) fn copy(&self, port: u16, password: &str) -> Result<(), PostgresError> {
        let instance = self.instance;
        instance.keep_password(password)?;
        let new = self.make_new_data()?;
        let program = self.package.program(self.options.major, "pg_basebackup");
        let mut command = self.account.command(&program);
        // What it connects with, the password included, goes into the settings of the copy.
        command
            .args([
                "--write-recovery-conf",
                "--wal-method=stream",
                "--checkpoint=fast",
            ])
            .args(["--host=127.0.0.1", "--no-password"])
            .arg(format!("--port={port}"))
            .arg(format!("--username={SUPERUSER}"))
            .arg("--pgdata")
            .arg(&new)
            .env("PGPASSWORD", password);
        if self.options.durability == Durability::Disposable {
            command.arg("--no-sync");
        }
        let output = command.output().map_err(PostgresError::io("run", &program))?;
        if !output.status.success() {
            return Err(failed(instance, "pg_basebackup", &output, password));
        }
        self.complete(&new)
    }

    /// An empty directory for the data, removing one that was not completed.
    fn make_new_data(&self) -> Result<PathBuf, PostgresError> {
        let new = self.instance.new_data();
        if new.exists() {
            fs::remove_dir_all(&new).map_err(PostgresError::io("remove", &new))?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&new)
            .map_err(PostgresError::io("create", &new))?;
        self.account.give(&new)?;
        Ok(new)
    }

    /// Lets the data directory appear.
    fn complete(&self, new: &Path) -> Result<(), PostgresError> {
        let (directory, data) = (self.instance.directory(), self.instance.data());
        fs::rename(new, &data).map_err(PostgresError::io("rename to", &data))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(PostgresError::io("sync", directory))
    }

    /// Gives the superuser a new password, for a server whose password file was lost.
    pub(super) fn reset_password(&self) -> Result<String, PostgresError> {
        let password = self.instance.make_password()?;
        self.set_password(&self.instance.data(), &password)?;
        Ok(password)
    }

    fn initdb(&self, data: &Path) -> Result<(), PostgresError> {
        let program = self.package.program(self.options.major, "initdb");
        let mut command = self.account.command(&program);
        command.args([
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
            "--auth=reject",
        ]);
        command
            .arg(format!("--username={SUPERUSER}"))
            .arg("--pgdata")
            .arg(data);
        // The locales of the operating system differ from machine to machine. The built-in one does not, and knows
        // upper and lower case in every script; version 16 has only plain C.
        if self.options.major == Major::V18 {
            command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
        }
        if self.options.durability == Durability::Disposable {
            command.arg("--no-sync");
        }
        let output = command.output().map_err(PostgresError::io("run", &program))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(failed(self.instance, "initdb", &output, ""))
        }
    }

    fn set_password(&self, data: &Path, password: &str) -> Result<(), PostgresError> {
        // Passwords are made of hexadecimal digits: there is nothing to quote.
        self.execute(
            data,
            &format!("ALTER ROLE {SUPERUSER} PASSWORD '{password}'"),
            password,
        )
    }

    /// Runs one statement; `secret` is kept out of error messages.
    fn execute(&self, data: &Path, sql: &str, secret: &str) -> Result<(), PostgresError> {
        let program = self.package.program(self.options.major, "postgres");
        let mut command = self.account.command(&program);
        command.arg("--single").arg("-D").arg(data);
        if self.options.durability == Durability::Disposable {
            command.arg("-F");
        }
        command
            .arg("postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(PostgresError::io("run", &program))?;
        if let Some(mut input) = child.stdin.take() {
            // If it ended early, its output says why.
            let _ = input.write_all(format!("{sql}\n").as_bytes());
        }
        let output = child
            .wait_with_output()
            .map_err(PostgresError::io("run", &program))?;
        // In this mode a statement that fails does not make the program fail.
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() && !said.contains("ERROR:") {
            return Ok(());
        }
        Err(failed(self.instance, "postgres --single", &output, secret))
    }
}

fn failed(instance: &Instance, step: &'static str, output: &Output, secret: &str) -> PostgresError {
    let mut said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if !secret.is_empty() {
        said = said.replace(secret, "***");
    }
    PostgresError::NotInitialised {
        directory: instance.directory().to_owned(),
        step,
        output: super::server::last_lines(&said),
    }
}
