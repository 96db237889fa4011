# The calls of smart_proxy_m2 on M2's REST API, made by its own code: smart_proxy_m2.rb SOURCES URL TOKEN
# What it says is printed as JSON.

require 'json'
require 'ostruct'

sources, url, token = ARGV

# What of a smart proxy the plugin leans on.
module Proxy
  module Util; end
  module Log; end
  module M2
    class Plugin
      class << self
        attr_accessor :settings
      end
    end
  end
end
Proxy::M2::Plugin.settings = OpenStruct.new(
  bmi_endpoint: url, bmi_username: 'alice', bmi_password: token, bmi_project: 'bmi_infra'
)
require "#{sources}/smart_proxy_m2/lib/smart_proxy_m2/m2_main"

puts JSON.generate(
  images: Proxy::M2.get_images,
  target: Proxy::M2.get_iscsi_target('node3', 'golden'),
  again: Proxy::M2.get_iscsi_target('node3', 'golden'),
  snapshots: Proxy::M2.get_snapshots,
  deleted: Proxy::M2.delete_disk('node3')
)
