/** A small shop's schema: something to ask, to change, to wait for, to upload and to subscribe to. It knows no HTTP. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  GraphQLBoolean,
  GraphQLDeferDirective,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLScalarType,
  GraphQLSchema,
  GraphQLStreamDirective,
  GraphQLString,
  specifiedDirectives,
} from "graphql";

/** How long the shop thinks about a review: what `@defer` is for. */
const REVIEW_MS = 150;
const TICK_MS = 20;

export interface Product {
  readonly id: string;
  readonly name: string;
  stock: number;
}

const text = new GraphQLNonNull(GraphQLString);
const int = new GraphQLNonNull(GraphQLInt);

/** A file of a `multipart/form-data` request; never part of an answer. */
const upload = new GraphQLScalarType<File, never>({
  name: "Upload",
  parseValue(value) {
    if (value instanceof File) return value;
    throw new TypeError("an Upload is a file of a multipart request");
  },
});

const product = new GraphQLObjectType<Product>({
  name: "Product",
  fields: {
    id: { type: text },
    name: { type: text },
    stock: { type: int },
    review: {
      type: text,
      async resolve({ name }) {
        await sleep(REVIEW_MS);
        return `I like my ${name}. 🫖`;
      },
    },
  },
});

const receipt = new GraphQLObjectType({
  name: "Receipt",
  fields: { name: { type: text }, bytes: { type: int }, sha256: { type: text } },
});

/** What the shop has at first; an order takes from it. */
export function stock(): Product[] {
  return [
    { id: "1", name: "Teapot", stock: 418 },
    { id: "2", name: "Kettle", stock: 7 },
  ];
}

/** The schema for these products. Only one that is executed incrementally may know `@defer` and `@stream`. */
export function shopSchema(
  products: readonly Product[],
  { incremental }: { readonly incremental: boolean },
): GraphQLSchema {
  const find = (id: string): Product | undefined => products.find((entry) => entry.id === id);

  return new GraphQLSchema({
    directives: incremental
      ? [...specifiedDirectives, GraphQLDeferDirective, GraphQLStreamDirective]
      : specifiedDirectives,
    query: new GraphQLObjectType({
      name: "Query",
      fields: {
        products: {
          type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(product))),
          resolve: () => products,
        },
        product: {
          type: product,
          args: { id: { type: text } },
          resolve: (_source, { id }: { id: string }) => find(id),
        },
      },
    }),
    mutation: new GraphQLObjectType({
      name: "Mutation",
      fields: {
        order: {
          type: product,
          args: { id: { type: text }, count: { type: int } },
          resolve(_source, { id, count }: { id: string; count: number }) {
            const found = find(id);
            if (found === undefined) return;
            if (count > found.stock) throw new RangeError(`only ${found.stock} are left`);
            found.stock -= count;
            return found;
          },
        },
        upload: {
          type: receipt,
          args: { file: { type: new GraphQLNonNull(upload) } },
          async resolve(_source, { file }: { file: File }) {
            const bytes = Buffer.from(await file.arrayBuffer());
            const sha256 = createHash("sha256").update(bytes).digest("hex");
            return { name: file.name, bytes: bytes.length, sha256 };
          },
        },
      },
    }),
    subscription: new GraphQLObjectType({
      name: "Subscription",
      fields: {
        countdown: {
          type: int,
          args: { from: { type: int }, forever: { type: GraphQLBoolean } },
          async *subscribe(_source, { from, forever }: { from: number; forever?: boolean }) {
            for (let count = from; count >= 0 || forever === true; count--) {
              yield { countdown: count };
              await sleep(TICK_MS);
            }
          },
        },
      },
    }),
  });
}
