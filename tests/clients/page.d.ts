// The types by which the page's own calls are checked: `Contract.Reply<"get", "/api/rules/…">` is what the
// published contract says of it. A path is matched to the contract's by its segments, so the page writes its
// paths as it sends them.

import type { components, paths } from "./contract";

type Method = "get" | "post" | "put" | "patch" | "delete";
type Plain<P extends string> = P extends `${infer Path}?${string}` ? Path : P;
type Segments<P extends string> = P extends `${infer Head}/${infer Tail}` ? [Head, ...Segments<Tail>] : [P];

/** Whether what is asked for has as many segments, and the same ones but for the contract's parameters. */
type Fits<Asked, Known> = Asked extends [infer One, ...infer Others]
  ? Known extends [infer Name, ...infer Names]
    ? Name extends `{${string}}`
      ? Fits<Others, Names>
      : string extends One
        ? false
        : One extends Name
          ? Fits<Others, Names>
          : false
    : false
  : Known extends []
    ? true
    : false;

type Matching<P extends string> = Plain<P> extends keyof paths
  ? Plain<P>
  : { [K in keyof paths]: Fits<Segments<Plain<P>>, Segments<K>> extends true ? K : never }[keyof paths];

/** Of a path that is put together elsewhere nothing is known. */
type Operation<M extends Method, P extends string> = string extends P ? never : P extends string ? paths[Matching<P>][M] : never;

type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : null;

type Success<T> = T extends { responses: infer Replies } ? { [Status in keyof Replies]: Status extends 200 | 201 | 202 | 204 ? Json<Replies[Status]> : never }[keyof Replies] : never;

type Sent<T> = T extends { requestBody?: { content: { "application/json": infer Body } } } ? Body : never;

declare global {
  namespace Contract {
    type Problem = components["schemas"]["ProblemBody"];
    type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];
    type Reply<M extends Method, P extends string> = Success<Operation<M, P>>;
    type Body<M extends Method, P extends string> = Sent<Operation<M, P>>;
    type Listed<P extends string> = Reply<"get", P> extends { items: unknown[]; next_cursor?: string | null } ? Reply<"get", P> : never;
    type Item<P extends string> = Listed<P>["items"][number];
  }
}
