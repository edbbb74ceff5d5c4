// RunRecord: what a running `up` tells the other commands: its run.json.
//
// Plain values, written whole by rename whenever they change. Not trusted for signals: who is alive
// the lock says (RunDirectory::holder()).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/run_directory.hpp"

namespace tulle::cli {

struct InstanceRecord {
  std::string name, group, service;
  std::string state;        // "up", "starting", ...
  std::string detail;       // why it is not up
  int pid = 0;              // 0: does not run
  int sidecar_pid = 0;
  std::string address = "127.0.0.1";
  std::string network_namespace;  // empty: that of the machine
  std::string user;               // it runs as; empty: as `up` does
  uint16_t port = 0, inbound_port = 0, outbound_port = 0, admin_port = 0;
  unsigned restarts = 0;
  std::string health;
};

struct RunRecord {
  std::string name;
  std::string file;
  std::string phase;        // "starting", "up", "stopping"
  std::string trust_domain;
  int64_t started = 0;      // Unix seconds
  int control_plane_pid = 0;
  std::string control_plane_state;
  std::string api;          // URL
  std::string xds;          // address
  std::string network_namespace;  // of the control plane; empty: that of the machine
  std::vector<InstanceRecord> instances;
};

std::string address_text(const InstanceRecord& instance);  // "127.0.0.1:8080", "[fd00::2]:8080"
std::string to_json(const RunRecord& record);
Result<RunRecord> read_record(const RunDirectory& run);

}  // namespace tulle::cli
