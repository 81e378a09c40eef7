-- Other assistants list the book page by page, in the order of ids. Mails are the many: without an index of the
-- user's own, a page of a small mailbox would be looked for among everybody's.

create index emails_of_user on emails (user_id, id);
