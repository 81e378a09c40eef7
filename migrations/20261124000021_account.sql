-- The end of an account. Every row of a user's goes with their row of `users`; the activity log can't be removed
-- in any other way, so this function is the one thing that may. It deletes whom the transaction is scoped to.
create function delete_account() returns bigint
language sql
security definer
set search_path = pg_catalog, public
as $$
    with gone as (delete from public.users where id = public.app_user_id() returning 1)
    select count(*) from gone
$$;
revoke all on function delete_account() from public;
grant execute on function delete_account() to paraplanner_app;
-- It is the only way.
revoke delete on users from paraplanner_app;
