# What Foreman and foreman_m2 ask of a smart proxy, by their own code: foreman.rb SOURCES URL
# Certificate, key and authority of Foreman are in SSL_CERTIFICATE, SSL_KEY and SSL_CA. What they get
# to know is printed as JSON.

require 'json'
require 'openssl'
require 'ostruct'
require 'rest-client'

SOURCES, URL = ARGV

# What of Rails and of Foreman their classes lean on.
class Object
  def present?
    !(respond_to?(:empty?) ? empty? : !self)
  end

  def N_(text)
    text
  end
end

module Quiet
  def self.method_missing(*); end
  def self.respond_to_missing?(*) = true
end

module Foreman
  module TelemetryHelper
    def telemetry_increment_counter(*); end
    def telemetry_duration_histogram(*) = yield
  end

  class Logging
    def self.logger(_name) = Quiet
    def self.exception(*); end
  end

  module Deprecation
    def self.deprecation_warning(*); end
  end

  class WrappedException < StandardError
    def initialize(cause, message) = super("#{message}: #{cause}")
  end
end

module Logging
  def self.mdc = {}
end

module Rails
  def self.env = OpenStruct.new(test?: false)
end

Setting = {
  proxy_request_timeout: 60,
  ssl_certificate: ENV.fetch('SSL_CERTIFICATE'),
  ssl_priv_key: ENV.fetch('SSL_KEY'),
  ssl_ca_file: ENV.fetch('SSL_CA')
}.freeze

module ProxyAPI
  module V2; end

  class ProxyException < StandardError
    def initialize(url, cause, message) = super("#{message} (#{url}): #{cause}")
  end
end

services = "#{SOURCES}/foreman/app/services/proxy_api"
%w[resource features v2/features version].each { |name| load "#{services}/#{name}.rb" }

module ActiveSupport
  module Concern
    def included(*); end
    def class_methods(*); end
  end
end

module Safemode
  class Jail
    def self.allow(*); end
  end
end

module Host
  class Managed; end
end

SETTINGS = {}.freeze
Image = Struct.new(:id, :uuid, :name, keyword_init: true) do
  def self.find_by(name:) = new(name: name)
end

module SmartProxy
  def self.find_by(url:) = OpenStruct.new(url: url)
end

load "#{SOURCES}/foreman_m2/app/lib/proxy_api/m2.rb"
load "#{SOURCES}/foreman_m2/app/models/concerns/foreman_m2/host_extensions.rb"

# A host that is rendered a template for.
class NewHost
  include ForemanM2::HostExtensions

  attr_reader :name, :image_name

  def initialize(name, image_name)
    @name = name
    @image_name = image_name
  end

  def compute_resource = OpenStruct.new(url: URL)
  def logger = Quiet
end

def status
  yield
rescue RestClient::ExceptionWithResponse => e
  e.http_code
end

m2 = ProxyAPI::M2.new(url: URL)
host = NewHost.new('host4.example.org', 'golden')
puts JSON.generate(
  features: ProxyAPI::V2::Features.new(url: URL).features,
  old_features: ProxyAPI::Features.new(url: URL).features,
  modules: ProxyAPI::Version.new(url: URL).proxy_versions['modules'],
  images: m2.get_images([]).map(&:name),
  first_render: host.iscsi_target,
  second_render: host.iscsi_target,
  no_image: status { NewHost.new('host5.example.org', 'nosuch').iscsi_target },
  snapshots: m2.get_snapshots([]),
  deleted: host.destroy_disk,
  deleted_again: status { host.destroy_disk }
)
