//! Before the pool: extensions, the role that the program runs under, migrations.
//!
//! Runs on a connection of its own with the URL's rights. Where those aren't enough, the error is
//! the SQL for an administrator.

use anyhow::{Context as _, bail};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};

pub(super) static MIGRATOR: Migrator = sqlx::migrate!();

/// Two instances that start at once take turns here.
const SETUP_LOCK: i64 = 0x7061_7261_706c_616e;

const EXTENSIONS: [&str; 3] = ["vector", "pg_trgm", "unaccent"];

const MAKE_ROLE: &str = "
do $$ begin
    if not exists (select from pg_roles where rolname = 'paraplanner_app') then
        create role paraplanner_app nologin nosuperuser nobypassrls;
    end if;
exception
    -- Roles belong to the whole server: another database's first start may have been quicker.
    when duplicate_object or unique_violation then null;
end $$";

pub(super) async fn prepare(options: &PgConnectOptions) -> anyhow::Result<()> {
    let mut connection = options
        .connect()
        .await
        .context("connecting to the database")?;
    // Migrations may take longer than any request may.
    connection.execute("set statement_timeout = 0").await?;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(SETUP_LOCK)
        .execute(&mut connection)
        .await?;
    let prepared = prepare_locked(&mut connection).await;
    // Closing gives the lock back, also when preparing failed.
    connection.close().await?;
    prepared
}

async fn prepare_locked(connection: &mut PgConnection) -> anyhow::Result<()> {
    check_version(connection).await?;
    make_extensions(connection).await?;
    make_role(connection).await?;
    MIGRATOR
        .run(&mut *connection)
        .await
        .context("migrating the database")?;
    check_role(connection).await
}

async fn check_version(connection: &mut PgConnection) -> anyhow::Result<()> {
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int")
        .fetch_one(connection)
        .await?;
    if version < 150_000 {
        bail!("DATABASE_URL: the server must be Postgres 15 or newer");
    }
    Ok(())
}

async fn make_extensions(connection: &mut PgConnection) -> anyhow::Result<()> {
    for name in EXTENSIONS {
        let there: bool =
            sqlx::query_scalar("select exists (select from pg_extension where extname = $1)")
                .bind(name)
                .fetch_one(&mut *connection)
                .await?;
        if !there {
            connection
                .execute(sqlx::AssertSqlSafe(format!(
                    "create extension if not exists {name}"
                )))
                .await
                .with_context(|| {
                    format!(
                        "DATABASE_URL: the extension {name} is missing and may not be made by this \
                         role; let an administrator run in this database: create extension {name};"
                    )
                })?;
        }
    }
    Ok(())
}

async fn make_role(connection: &mut PgConnection) -> anyhow::Result<()> {
    let ready: bool = sqlx::query_scalar(
        "select coalesce(
            (select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = 'paraplanner_app'),
            false)",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !ready {
        let hint = "DATABASE_URL: the role paraplanner_app is missing and may not be made by this role; let an \
                    administrator run: create role paraplanner_app nologin nosuperuser nobypassrls; \
                    grant paraplanner_app to current_user_of_the_url;";
        connection.execute(MAKE_ROLE).await.context(hint)?;
        connection
            .execute("grant paraplanner_app to current_user")
            .await
            .context(hint)?;
    }
    connection
        .execute("grant usage on schema public to paraplanner_app")
        .await
        .context("granting the schema to paraplanner_app")?;
    Ok(())
}

/// Row-level security binds neither superusers nor BYPASSRLS: with either, isolation is a wish.
async fn check_role(connection: &mut PgConnection) -> anyhow::Result<()> {
    let passes: bool = sqlx::query_scalar(
        "select rolsuper or rolbypassrls from pg_roles where rolname = 'paraplanner_app'",
    )
    .fetch_one(connection)
    .await?;
    if passes {
        bail!(
            "DATABASE_URL: the role paraplanner_app is superuser or has BYPASSRLS; let an \
             administrator run: alter role paraplanner_app nosuperuser nobypassrls;"
        );
    }
    Ok(())
}
