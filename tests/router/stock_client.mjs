// Sends a query with a stock client and prints the errors that an application sees, as JSON:
// node stock_client.mjs apollo|urql|relay URL QUERY [AUTHORIZATION]
import { createRequire } from "node:module";

const require = createRequire(new URL("../../snippet/package.json", import.meta.url));
const [client, url, query, authorization] = process.argv.slice(2);

const headers = authorization ? { authorization } : {};

const clients = {
  async apollo() {
    const { ApolloClient, HttpLink, InMemoryCache, gql } = require("@apollo/client");
    const made = new ApolloClient({ link: new HttpLink({ uri: url, headers }), cache: new InMemoryCache() });
    const { error } = await made.query({ query: gql(query), errorPolicy: "all" });
    return error.errors;
  },
  async urql() {
    const { Client, fetchExchange } = require("@urql/core");
    const made = new Client({ url, exchanges: [fetchExchange], fetchOptions: { headers }, preferGetMethod: false });
    const { error } = await made.query(query, {}).toPromise();
    return error.graphQLErrors;
  },
  // The network layer of Relay's documentation.
  async relay() {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
        "Content-Type": "application/json",
        ...headers,
      },
      body: JSON.stringify({ query, variables: {} }),
    });
    return (await response.json()).errors;
  },
};

const errors = await clients[client]();
console.log(JSON.stringify(errors.map(({ message, extensions }) => [extensions.code, message])));
process.exit(0);
