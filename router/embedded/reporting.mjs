/**
 * Switches off everything by which Apollo's packages report to Apollo. Import it before them.
 *
 * Without it `@apollo/gateway` sends metrics, and its resource detectors send requests to the
 * metadata servers of AWS, Azure, Google Cloud and Alibaba Cloud; an APOLLO_KEY in the environment
 * would start usage and schema reporting. tests/router/test_gateway_connections.py records that the
 * gateway connects to its subgraphs alone.
 */
import {
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from "@apollo/server/plugin/disabled";

/** Environment variables by which reporting is switched on. */
const IGNORED = [
  "APOLLO_KEY",
  "APOLLO_GRAPH_REF",
  "APOLLO_GRAPH_ID",
  "APOLLO_GRAPH_VARIANT",
  "APOLLO_SCHEMA_REPORTING",
  "APOLLO_OUT_OF_BAND_REPORTER_ENDPOINT",
];

process.env.APOLLO_TELEMETRY_DISABLED = "1"; // read by `@apollo/gateway` when a gateway is created
for (const name of IGNORED) delete process.env[name];

/** Plugins of Apollo Server that keep usage and schema reporting off, whatever the environment. */
export const reportingDisabled = [
  ApolloServerPluginUsageReportingDisabled(),
  ApolloServerPluginSchemaReportingDisabled(),
];
